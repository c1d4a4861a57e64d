"""What the problem file declares, in words: for empty states and the fine print of the page."""

import json
from typing import Any

from services.console.words import count, duration
from shared.problem.spec import (
    FieldSpec,
    OnCost,
    OnDrift,
    OnGrowth,
    OnPerformance,
    OnSchedule,
    OnVolume,
    Problem,
    Trigger,
)


def triggers(problem: Problem) -> list[str]:
    """When a retraining starts, one line a trigger."""
    return [_trigger(trigger, problem.metric) for trigger in problem.retraining.triggers]


def _trigger(trigger: Trigger, metric: str) -> str:
    if isinstance(trigger, OnDrift):
        causes = " or ".join(cause.replace("_", " ") for cause in trigger.causes)
        return (
            f"a {' or '.join(trigger.severities)} alert of {causes}, once "
            f"{count(trigger.settle)} outcomes of the new regime are there"
        )
    if isinstance(trigger, OnVolume):
        return f"every {count(trigger.outcomes)} outcomes"
    if isinstance(trigger, OnGrowth):
        return (
            f"at {count(trigger.first)} outcomes, then whenever there are {trigger.by:g} times as many "
            f"as the last time, after {count(trigger.most)} new ones at the latest"
        )
    if isinstance(trigger, OnSchedule):
        return f"the schedule {trigger.cron} ({trigger.zone})"
    if isinstance(trigger, OnPerformance):
        return (
            f"a mean loss ({metric}) over {count(trigger.window)} outcomes that is "
            f"{trigger.worse_by:g} above that after the last fit"
        )
    if isinstance(trigger, OnCost):
        return f"losses ({metric}) above those of a fresh fit that sum to {trigger.fit_price:g}"
    among = "; ".join(_trigger(one, metric) for one in trigger.among)
    return f"{trigger.need} of these within {count(trigger.within)} outcomes: {among}"


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
