"""What a problem file's shape cannot say: names that exist, kinds that fit, bounds in order."""

from collections.abc import Callable, Iterator, Set
from datetime import timedelta
from math import isfinite
from typing import Any, get_args
from zoneinfo import ZoneInfo

from shared.messages.types import Alert
from shared.problem.cron import parse_cron
from shared.problem.expression import Formula, FormulaError
from shared.problem.mistakes import Mistake, Path, nearest
from shared.problem.scalars import scalar_text
from shared.problem.spec import (
    Calendar,
    Expression,
    FieldSpec,
    FormulaKind,
    OnDrift,
    OnSchedule,
    Problem,
    Window,
)

_CAUSES = get_args(Alert.__annotations__["cause"])
_KEY_TYPES = ("category", "text", "integer", "boolean")
_MAX_COLUMNS = 5_000


def consistency_mistakes(problem: Problem, broken: Set[str] = frozenset()) -> list[Mistake]:
    """Every mistake in the sections that are not `broken`."""
    return [
        mistake for needs, check in _CHECKS if not broken & needs for mistake in check(problem)
    ]


def _fields(problem: Problem) -> Iterator[Mistake]:
    if not problem.events.fields:
        yield Mistake(("events", "fields"), "there is no field", "`price: {type: number}`")
    for name, spec in problem.events.fields.items():
        path = ("events", "fields", name)
        yield from _bounds(spec.range, (*path, "range"))
        yield from _options(spec, path)
        if spec.type == "category":
            yield from _categories(spec, path)


def _options(spec: FieldSpec, path: Path) -> Iterator[Mistake]:
    """Options that mean nothing for the field's type."""
    numeric = spec.type in ("number", "integer")
    fits = {
        "range": numeric,
        "categories": spec.type == "category",
        "encode": spec.type == "category",
        "unseen": spec.type == "category",
        "buckets": spec.encode == "hash",
    }
    for option, fit in fits.items():
        if option in spec.model_fields_set and not fit:
            kind = "`encode: hash`" if option == "buckets" else f"a field of type {spec.type}"
            wrong = f"`{option}` means nothing here: this is {kind}"
            if option == "buckets":
                wrong = "`buckets` means nothing without `encode: hash`"
            yield Mistake((*path, option), wrong, "the field without it", key=True)
    if spec.missing == "mean" and not numeric:
        yield Mistake(
            (*path, "missing"),
            f"{spec.type} fields have no mean",
            "`missing: last` (or keep, reject)",
        )


def _categories(spec: FieldSpec, path: Path) -> Iterator[Mistake]:
    texts = [scalar_text(value) for value in spec.categories or ()]
    if spec.categories is not None:
        yield from _distinct(texts, (*path, "categories"), 1)
    if spec.feature and spec.encode == "onehot" and not texts:
        yield Mistake(
            path,
            "a category needs its values for one column each",
            "`categories: [a, b]`, or `encode: hash`, or `feature: false`",
        )


def _distinct(texts: list[str], path: Path, least: int) -> Iterator[Mistake]:
    for index, text in enumerate(texts):
        if text in texts[:index]:
            yield Mistake((*path, index), f"`{text}` stands there twice", "each value once")
    if len(texts) < least:
        yield Mistake(path, f"{len(texts)} values are too few", f"at least {least}")


def _bounds(pair: tuple[float | None, float | None] | None, path: Path) -> Iterator[Mistake]:
    low, high = pair or (None, None)
    for index, bound in enumerate((low, high)):
        if bound is not None and not isfinite(bound):
            yield Mistake((*path, index), f"{bound} is no bound", "null for no bound")
    if low is not None and high is not None and not low < high:
        yield Mistake(
            path, f"{low:g} is not below {high:g}", f"[{high:g}, {low:g}], the lower first"
        )


def _events(problem: Problem) -> Iterator[Mistake]:
    events = problem.events
    known = list(events.fields)
    if events.key is not None and events.key not in events.fields:
        yield Mistake(
            ("events", "key"), f"there is no field `{events.key}`", nearest(events.key, known)
        )
    roles = (("key", events.key, _KEY_TYPES), ("id", events.id, ("text", "integer", "category")))
    for role, name, types in (*roles, ("time", events.time, ("time",))):
        spec = events.fields.get(name) if name is not None else None
        if spec is not None and spec.type not in types:
            yield Mistake(
                ("events", role),
                f"`{name}` is of type {spec.type}, which is no {role}",
                f"a field of type {' or '.join(types)}",
            )
    yield from _not_negative(events.allow_backwards, ("events", "allow_backwards"))
    for index, check in enumerate(events.checks):
        path: Path = ("events", "checks", index)
        if check.name in [other.name for other in events.checks[:index]]:
            yield Mistake((*path, "name"), f"`{check.name}` names two checks", "another name")
        if (check.expression is None) == (check.function is None):
            yield Mistake(
                path,
                "a check needs an expression or a function, one of the two",
                "`expression: price > 0`",
            )
        elif check.expression is not None:
            kinds = {name: spec.formula_kind for name, spec in events.fields.items()}
            yield from _formula(check.expression, kinds, (*path, "expression"))


def _formula(
    text: str, kinds: dict[str, FormulaKind], path: Path, numeric: bool = True
) -> Iterator[Mistake]:
    try:
        formula = Formula(text, kinds)
    except FormulaError as error:
        yield Mistake(path, error.wrong, error.write)
        return
    if numeric and formula.kind == "text":
        yield Mistake(path, f"`{text}` gives text", "a formula that gives a number or true/false")


def _label(problem: Problem) -> Iterator[Mistake]:
    label = problem.label
    regression = problem.task == "regression"
    if label.classes is not None and regression:
        yield Mistake(
            ("label", "classes"),
            "a regression has no classes",
            "`range: [low, high]`, or `task: multiclass`",
            key=True,
        )
    elif label.classes is not None:
        path: Path = ("label", "classes")
        yield from _distinct([scalar_text(value) for value in label.classes], path, 2)
        if problem.task == "binary" and len(label.classes) > 2:
            yield Mistake(
                path,
                f"a binary task has two classes, not {len(label.classes)}",
                "`task: multiclass`",
            )
    if label.range is not None and not regression:
        yield Mistake(
            ("label", "range"), f"a {problem.task} label has no range", "`classes`", key=True
        )
    yield from _bounds(label.range, ("label", "range"))
    yield from _default(problem)


def _default(problem: Problem) -> Iterator[Mistake]:
    label, path = problem.label, ("label", "default")
    if label.default is None:
        return
    if problem.task == "regression":
        if isinstance(label.default, str | bool):
            yield Mistake(path, f"`{label.default}` is no number", "a number")
    elif label.classes:
        known = [scalar_text(value) for value in label.classes]
        if scalar_text(label.default) not in known:
            yield Mistake(path, f"`{label.default}` is no class", nearest(label.default, known))


def _label_times(problem: Problem) -> Iterator[Mistake]:
    label = problem.label
    if label.delay_events is not None and "delay" in label.model_fields_set:
        yield Mistake(
            ("label", "delay_events"),
            "`delay` and `delay_events` are both given",
            "one of them",
            key=True,
        )
    yield from _not_negative(label.delay, ("label", "delay"))
    if label.wait is not None:
        yield from _not_negative(label.wait, ("label", "wait"))
        if label.wait < label.delay:
            yield Mistake(
                ("label", "wait"),
                "it is shorter than `delay`: every label would come too late",
                "a duration longer than `delay`",
            )


def _not_negative(value: timedelta, path: Path) -> Iterator[Mistake]:
    if value < timedelta(0):
        yield Mistake(path, "a duration cannot be negative", "a duration such as 30m")


def _label_field(problem: Problem) -> Iterator[Mistake]:
    name, events = problem.label.field, problem.events
    if name in events.fields:
        yield Mistake(
            ("label", "field"),
            f"`{name}` is also a field of the event: the answer would be known beforehand",
            f"events.fields without `{name}`",
        )
    elif name in (events.id, events.time):
        yield Mistake(("label", "field"), f"`{name}` is the event's id or time", "another column")


def _features(problem: Problem) -> Iterator[Mistake]:
    seen: dict[str, Path] = dict.fromkeys(problem.events.fields, ())
    for name, spec in problem.events.fields.items():
        columns = [column for column in spec.columns(name) if column != name]
        yield from _fresh(columns, seen, ("events", "fields", name))
    for index, feature in enumerate(problem.features):
        path: Path = ("features", index)
        kinds = problem.formula_kinds(index)
        if isinstance(feature, Calendar):
            yield from _zone(feature.zone, (*path, "zone"))
        elif isinstance(feature, Expression):
            yield from _formula(feature.formula, kinds, (*path, "formula"))
        else:
            yield from _past_of(feature.field, kinds, (*path, "field"))
        if isinstance(feature, Window):
            yield from _window(feature, path)
        yield from _fresh(list(feature.columns()), seen, path)
    count = len(problem.feature_names)
    if not count and problem.events.fields:
        yield Mistake(("features",), "there is no feature: nothing to learn from", "a feature")
    if count > _MAX_COLUMNS:
        yield Mistake(
            ("features",), f"{count:,} features are too many", f"at most {_MAX_COLUMNS:,}"
        )


def _fresh(columns: list[str], seen: dict[str, Path], path: Path) -> Iterator[Mistake]:
    for column in columns:
        if column in seen:
            wrong = f"the feature `{column}` is there already"
            yield Mistake(path, wrong, "each feature once, under its own name")
        seen[column] = path


def _past_of(name: str, kinds: dict[str, Any], path: Path) -> Iterator[Mistake]:
    if name not in kinds:
        yield Mistake(path, f"there is no field or feature `{name}`", nearest(name, list(kinds)))
    elif kinds[name] == "text":
        numbers = [known for known, kind in kinds.items() if kind != "text"]
        yield Mistake(path, f"`{name}` is text, it has no past in numbers", nearest(name, numbers))


def _window(window: Window, path: Path) -> Iterator[Mistake]:
    if (window.size is None) == (window.span is None):
        yield Mistake(
            path,
            "a window needs `size` or `span`, one of the two",
            "`size: 48` (events) or `span: 1d` (event time)",
        )
    elif window.span is not None and window.span <= timedelta(0):
        yield Mistake((*path, "span"), "a span must be positive", "a duration such as 1d")
    if not window.of and not window.minus_now:
        yield Mistake((*path, "of"), "no statistic is asked for", "`of: [mean, std]`")


def _zone(name: str, path: Path) -> Iterator[Mistake]:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        yield Mistake(path, f"`{name}` is no time zone", "a name such as UTC or Europe/Berlin")


def _rules(problem: Problem) -> Iterator[Mistake]:
    kinds: dict[str, FormulaKind] = dict.fromkeys(problem.feature_names, "number")
    rules = problem.evaluation.rules
    for index, rule in enumerate(rules):
        path: Path = ("evaluation", "rules", index)
        yield from _formula(rule.expression, kinds, (*path, "expression"), numeric=False)
        if rule.name in [other.name for other in rules[:index]]:
            yield Mistake((*path, "name"), f"`{rule.name}` names two rules", "another name")


def _metric(problem: Problem) -> Iterator[Mistake]:
    fitting = ("mae", "rmse") if problem.task == "regression" else ("accuracy", "log_loss")
    metric = problem.evaluation.metric
    if metric is not None and metric not in fitting:
        yield Mistake(
            ("evaluation", "metric"),
            f"`{metric}` does not fit the task {problem.task}",
            " or ".join(fitting),
        )


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
        if isinstance(trigger, OnSchedule):
            yield from _zone(trigger.zone, (*path, "zone"))
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


def _promotion(problem: Problem) -> Iterator[Mistake]:
    promotion = problem.promotion
    if promotion.max_pairs < promotion.min_pairs:
        yield Mistake(
            ("promotion", "max_pairs"),
            f"{promotion.max_pairs} is below `min_pairs` ({promotion.min_pairs})",
            f"at least {promotion.min_pairs}",
        )


def _source(problem: Problem) -> Iterator[Mistake]:
    if problem.source is not None and problem.source.tick <= timedelta(0):
        yield Mistake(("source", "tick"), "a tick must be positive", "a duration such as 1h")


_Check = Callable[[Problem], Iterator[Mistake]]
_CHECKS: tuple[tuple[frozenset[str], _Check], ...] = (
    (frozenset({"events"}), _fields),
    (frozenset({"events"}), _events),
    (frozenset({"task", "label"}), _label),
    (frozenset({"label"}), _label_times),
    (frozenset({"events", "label"}), _label_field),
    (frozenset({"events", "features"}), _features),
    (frozenset({"events", "features", "evaluation"}), _rules),
    (frozenset({"task", "evaluation"}), _metric),
    (frozenset({"retraining"}), _retraining),
    (frozenset({"promotion"}), _promotion),
    (frozenset({"source"}), _source),
)
"""Each check, and the sections that it reads."""
