"""What a problem file's shape cannot say: names that exist, kinds that fit, bounds in order."""

from collections.abc import Callable, Iterator, Sequence, Set
from datetime import timedelta
from typing import get_args

from shared.messages.types import Alert
from shared.problem.cron import parse_cron
from shared.problem.feature_checks import features_mistakes
from shared.problem.input_checks import (
    events_mistakes,
    fields_mistakes,
    label_field_mistakes,
    label_mistakes,
    label_times_mistakes,
)
from shared.problem.mistakes import Mistake, Path, nearest
from shared.problem.origin import source_mistakes
from shared.problem.part_checks import formula_mistakes, zone_mistakes
from shared.problem.reference_checks import references_mistakes
from shared.problem.search import search_mistakes
from shared.problem.spec import (
    Baseline,
    FormulaKind,
    OnDrift,
    OnSchedule,
    OnVotes,
    Problem,
    Slice,
    Trigger,
)

_CAUSES = get_args(Alert.__annotations__["cause"])


def consistency_mistakes(problem: Problem, broken: Set[str] = frozenset()) -> list[Mistake]:
    """Every mistake in the sections that are not `broken`."""
    return [
        mistake for needs, check in _CHECKS if not broken & needs for mistake in check(problem)
    ]


def _rules(problem: Problem) -> Iterator[Mistake]:
    kinds: dict[str, FormulaKind] = dict.fromkeys(problem.feature_names, "number")
    evaluation = problem.evaluation
    sections: tuple[tuple[str, Sequence[Baseline | Slice]], ...] = (
        ("rules", evaluation.rules),
        ("slices", evaluation.slices),
    )
    for section, parts in sections:
        names = [part.name for part in parts]
        for index, part in enumerate(parts):
            path: Path = ("evaluation", section, index)
            place = (*path, "expression")
            yield from formula_mistakes(part.expression, kinds, place, numeric=False)
            if part.name in names[:index]:
                yield Mistake(
                    (*path, "name"), f"`{part.name}` names two {section}", "another name"
                )


def _metric(problem: Problem) -> Iterator[Mistake]:
    if problem.evaluation.metric is not None:
        yield from _fitting(problem, problem.evaluation.metric, ("evaluation", "metric"))


def _guards(problem: Problem) -> Iterator[Mistake]:
    for index, guard in enumerate(problem.promotion.guards):
        path: Path = ("promotion", "guards", index, "metric")
        yield from _fitting(problem, guard.metric, path)
        if guard.metric == problem.metric:
            yield Mistake(path, f"`{guard.metric}` is the metric of the contest", "another one")


def _fitting(problem: Problem, metric: str, path: Path) -> Iterator[Mistake]:
    fitting = ("mae", "rmse") if problem.task == "regression" else ("accuracy", "log_loss")
    if metric not in fitting:
        what = f"`{metric}` does not fit the task {problem.task}"
        yield Mistake(path, what, " or ".join(fitting))


def _retraining(problem: Problem) -> Iterator[Mistake]:
    retraining = problem.retraining
    if retraining.window < retraining.minimum:
        yield Mistake(
            ("retraining", "window"),
            f"{retraining.window} is below `minimum` ({retraining.minimum}): no job would ever start",
            f"at least {retraining.minimum}",
        )
    for index, trigger in enumerate(retraining.triggers):
        path: Path = ("retraining", "triggers", index)
        yield from _trigger(trigger, path)
        if isinstance(trigger, OnVotes):
            for place, one in enumerate(trigger.among):
                yield from _trigger(one, (*path, "among", place))
            if trigger.need > len(trigger.among):
                what = f"{trigger.need} of {len(trigger.among)} triggers can never agree"
                yield Mistake((*path, "need"), what, f"at most {len(trigger.among)}")


def _trigger(trigger: Trigger, path: Path) -> Iterator[Mistake]:
    if isinstance(trigger, OnSchedule):
        yield from zone_mistakes(trigger.zone, (*path, "zone"))
        try:
            parse_cron(trigger.cron)
        except ValueError as error:
            example = '`cron: "0 3 * * 1"` (minute hour day month weekday)'
            yield Mistake((*path, "cron"), str(error), example)
    elif isinstance(trigger, OnDrift):
        for place, cause in enumerate(trigger.causes):
            if cause not in _CAUSES:
                write = nearest(cause, list(_CAUSES))
                yield Mistake((*path, "causes", place), f"there is no cause `{cause}`", write)


def _candidates(problem: Problem) -> Iterator[Mistake]:
    retraining = problem.retraining
    numbers = problem.task == "regression"
    yield from search_mistakes(retraining.candidates, retraining.search, numbers)


def _promotion(problem: Problem) -> Iterator[Mistake]:
    promotion = problem.promotion
    if promotion.max_pairs < promotion.min_pairs:
        yield Mistake(
            ("promotion", "max_pairs"),
            f"{promotion.max_pairs} is below `min_pairs` ({promotion.min_pairs})",
            f"at least {promotion.min_pairs}",
        )


def _source(problem: Problem) -> Iterator[Mistake]:
    if problem.source is not None:
        yield from source_mistakes(problem.source)


def _audit(problem: Problem) -> Iterator[Mistake]:
    if problem.audit.window <= timedelta(0):
        yield Mistake(("audit", "window"), "a window must be positive", "a duration such as 1d")


_Check = Callable[[Problem], Iterator[Mistake]]
_CHECKS: tuple[tuple[frozenset[str], _Check], ...] = (
    (frozenset({"events"}), fields_mistakes),
    (frozenset({"events"}), events_mistakes),
    (frozenset({"task", "label"}), label_mistakes),
    (frozenset({"label"}), label_times_mistakes),
    (frozenset({"events", "label"}), label_field_mistakes),
    (frozenset({"references", "features"}), references_mistakes),
    (frozenset({"events", "references", "features"}), features_mistakes),
    (frozenset({"events", "references", "features", "evaluation"}), _rules),
    (frozenset({"task", "evaluation"}), _metric),
    (frozenset({"retraining"}), _retraining),
    (frozenset({"task", "retraining"}), _candidates),
    (frozenset({"promotion"}), _promotion),
    (frozenset({"task", "evaluation", "promotion"}), _guards),
    (frozenset({"source"}), _source),
    (frozenset({"audit"}), _audit),
)
"""Each check, and the sections that it reads."""
