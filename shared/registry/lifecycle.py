"""The lives of jobs, models and alerts, as tables; the diagrams in `docs/` are drawn from them.

`python -m shared.registry.lifecycle > docs/lifecycles.md` writes the page.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

START = ""
"""Before the first record."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """`steps` maps (from, to) to what makes the step happen; a state without a step out is final."""

    name: str
    about: str
    steps: Mapping[tuple[str, str], str]

    def allows(self, now: str, then: str) -> bool:
        """Whether a record may take it from `now` (`START`: unknown so far) to `then`."""
        return (now, then) in self.steps

    def after(self, now: str) -> tuple[str, ...]:
        """Where it can go from `now`."""
        return tuple(then for start, then in self.steps if start == now)

    @property
    def states(self) -> tuple[str, ...]:
        """All states, in the order of the table."""
        return tuple(dict.fromkeys(then for _, then in self.steps))

    def diagram(self) -> str:
        """A Mermaid state diagram."""
        lines = ["stateDiagram-v2"]
        for (now, then), why in self.steps.items():
            lines.append(f"    {now or '[*]'} --> {then}: {why}")
        lines += [f"    {state} --> [*]" for state in self.states if not self.after(state)]
        return "\n".join(lines)


JOBS = Lifecycle(
    "jobs",
    "One retraining job. The scheduler asks, the trainer answers, the judge says what it gained; "
    "records are on `jobs`.",
    {
        (START, "requested"): "a trigger fired",
        ("requested", "running"): "the trainer took it up",
        ("requested", "cancelled"): "called off",
        ("running", "cancelled"): "called off",
        ("running", "failed"): "crashed, too slow, too large, or too little data",
        ("running", "trained"): "candidates fitted, the best one chosen",
        ("trained", "accepted"): "better than the champion and every baseline on held-back rows",
        ("trained", "rejected"): "not better, with the evidence",
        (
            "accepted",
            "settled",
        ): "its version never became champion, or what it gained was measured",
        ("rejected", "settled"): "gained nothing, at its price",
        ("failed", "settled"): "gained nothing, at its price",
    },
)
MODELS = Lifecycle(
    "models",
    "One version of the model. Records are on `models`; a `snapshot` there is no step. There is one "
    "champion at any time: it leaves only when another one takes its place. One canary at most.",
    {
        (START, "champion"): "the pool that starts from nothing",
        (START, "shadow"): "accepted offline, scores beside the champion",
        ("shadow", "proposed"): "better on the same events; a person decides",
        ("shadow", "canary"): "better on the same events: answers a small share of them",
        ("shadow", "champion"): "promoted, or rolled back to",
        (
            "shadow",
            "rejected",
        ): "no better on the same events, faulty, or its artefact was refused",
        ("shadow", "retired"): "the time to roll back to it is over",
        ("proposed", "canary"): "a person said yes: answers a small share of the events",
        ("proposed", "champion"): "a person said yes",
        ("proposed", "rejected"): "a person said no, or it is no better any more",
        ("canary", "proposed"): "found no worse; a person decides",
        ("canary", "champion"): "found no worse while it answered",
        ("canary", "rejected"): "worse, faulty, or taken back",
        ("champion", "shadow"): "replaced; stays beside for a rollback",
    },
)
ALERTS = Lifecycle(
    "alerts",
    "One episode of something having changed. Records are on `alerts`.",
    {
        (START, "open"): "a detector or a rule fired",
        ("open", "acknowledged"): "an operator has seen it",
        ("open", "resolved"): "over, or closed by an operator",
        ("acknowledged", "resolved"): "over, or closed by an operator",
    },
)
LIFECYCLES = (JOBS, MODELS, ALERTS)


def page() -> str:
    """The Markdown page with every diagram."""
    parts = [
        "# Lifecycles",
        "Drawn from the tables in `shared/registry/lifecycle.py` "
        "(`python -m shared.registry.lifecycle > docs/lifecycles.md`); do not edit by hand.",
    ]
    for life in LIFECYCLES:
        parts += [f"## {life.name.capitalize()}", life.about]
        parts.append(f"```mermaid\n{life.diagram()}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
