"""What the problem file declares, in words: for empty states and the fine print of the page."""

import json
from typing import Any

from services.console.words import count, duration
from shared.problem.spec import FieldSpec, OnDrift, OnSchedule, OnVolume, Problem


def triggers(problem: Problem) -> list[str]:
    """When a retraining starts, one line a trigger."""
    lines = []
    for trigger in problem.retraining.triggers:
        if isinstance(trigger, OnDrift):
            causes = " or ".join(cause.replace("_", " ") for cause in trigger.causes)
            lines.append(
                f"a {' or '.join(trigger.severities)} alert of {causes}, once "
                f"{count(trigger.settle)} outcomes of the new regime are there"
            )
        elif isinstance(trigger, OnVolume):
            lines.append(f"every {count(trigger.outcomes)} outcomes")
        elif isinstance(trigger, OnSchedule):
            lines.append(f"the schedule {trigger.cron} ({trigger.zone})")
    return lines


def example_event(problem: Problem) -> str:
    """An event as JSON that passes the declared types, for a first try."""
    event: dict[str, Any] = {name: _example(spec) for name, spec in problem.events.fields.items()}
    for name, value in ((problem.events.time, "2030-01-01T00:00:00Z"), (problem.events.id, "e-1")):
        if name is not None:
            event.setdefault(name, value)
    return json.dumps(event).replace("'", "\\u0027")  # it is shown within quotes of a shell


def _example(spec: FieldSpec) -> Any:
    if spec.categories:
        return spec.categories[0]
    low = 0.0 if spec.range is None or spec.range[0] is None else spec.range[0]
    plain: dict[str, Any] = {
        "number": low,
        "integer": int(low),
        "boolean": True,
        "time": "2030-01-01T00:00:00Z",
    }
    return plain.get(spec.type, "text")


def watch(problem: Problem) -> str:
    """The alarm budget."""
    return (
        "Inputs, predictions, errors, labels and silence are watched. The budget is one false alarm "
        f"in {count(problem.drift.expected_run_length)} events over all inputs and one in "
        f"{count(problem.drift.error_run_length)} over errors; moving inputs alone are evidence, not "
        "a page."
    )


def label_policy(problem: Problem) -> str:
    """What becomes of a prediction whose label does not come."""
    if problem.label.wait is None:
        return "A prediction waits for its label without a limit of time."
    after = f"After {duration(problem.label.wait.total_seconds())} of event time"
    if problem.label.default is None:
        return f"{after} without a label a prediction stays unlabelled and counts in no figure."
    return f"{after} without a label, {problem.label.default!r} is taken as the label."
