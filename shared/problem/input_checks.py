"""What the sections on events and labels cannot say by their shape."""

from collections.abc import Iterator
from datetime import timedelta
from math import isfinite

from shared.problem.mistakes import Mistake, Path, nearest
from shared.problem.part_checks import formula_mistakes
from shared.problem.patterns import matcher
from shared.problem.scalars import scalar_text
from shared.problem.spec import FieldSpec, Problem

KEY_TYPES = ("category", "text", "integer", "boolean")


def fields_mistakes(problem: Problem) -> Iterator[Mistake]:
    """Fields: options that fit their types, bounds in order. A calendar alone needs none."""
    if not (problem.events.fields or problem.features):
        yield Mistake(("events", "fields"), "there is no field", "`price: {type: number}`")
    for name, spec in problem.events.fields.items():
        path = ("events", "fields", name)
        yield from field_mistakes(spec, path)
        if spec.absent_in and problem.events.environment is None:
            yield Mistake(
                (*path, "absent_in"),
                "nothing says which environment an event comes from",
                "`environment: KEY` under `events`: the JSON key that says so",
            )


def field_mistakes(spec: FieldSpec, path: Path) -> Iterator[Mistake]:
    """One field, of an event or of a reference."""
    yield from _bounds(spec.range, (*path, "range"))
    yield from _options(spec, path)
    if spec.pattern is not None:
        yield from _pattern(spec.pattern, (*path, "pattern"))
    if spec.type == "category":
        yield from _categories(spec, path)


def _nothing(option: str, spec: FieldSpec) -> str:
    beside = {
        "buckets": "without `encode: hash`",
        "smoothing": "without `encode: target`",
        "outlier_limit": "without `outliers`",
    }
    if option == "pattern" and spec.categories is not None:
        beside["pattern"] = "beside `categories`"
    if option == "scale" and not spec.feature:
        beside["scale"] = "with `feature: false`"
    here = f"here: this is a field of type {spec.type}"
    return f"`{option}` means nothing {beside.get(option, here)}"


def _pattern(text: str, path: Path) -> Iterator[Mistake]:
    try:
        matcher(text)
    except ValueError as error:
        yield Mistake(path, f"`{text}` is no pattern: {error}", "a regular expression as [A-Z]{3}")


def _options(spec: FieldSpec, path: Path) -> Iterator[Mistake]:
    """Options that mean nothing for the field's type."""
    numeric = spec.type in ("number", "integer")
    fits = {
        "range": numeric,
        "categories": spec.type == "category",
        "encode": spec.type == "category",
        "unseen": spec.type == "category",
        "buckets": spec.encode == "hash",
        "smoothing": spec.encode == "target",
        "outliers": numeric,
        "outlier_limit": numeric and spec.outliers != "keep",
        "scale": numeric and spec.feature,
        "pattern": spec.type == "text" or (spec.type == "category" and spec.categories is None),
    }
    for option, fit in fits.items():
        if option in spec.model_fields_set and not fit:
            yield Mistake(
                (*path, option), _nothing(option, spec), "the field without it", key=True
            )
    if spec.missing in ("mean", "median") and not numeric:
        yield Mistake(
            (*path, "missing"),
            f"{spec.type} fields have no {spec.missing}",
            "`missing: mode` (or last, keep, flag, reject)",
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


def events_mistakes(problem: Problem) -> Iterator[Mistake]:
    """Roles of fields, and checks."""
    events = problem.events
    known = list(events.fields)
    if events.key is not None and events.key not in events.fields:
        yield Mistake(
            ("events", "key"), f"there is no field `{events.key}`", nearest(events.key, known)
        )
    roles = (("key", events.key, KEY_TYPES), ("id", events.id, ("text", "integer", "category")))
    for role, name, types in (*roles, ("time", events.time, ("time",))):
        spec = events.fields.get(name) if name is not None else None
        if spec is not None and spec.type not in types:
            yield Mistake(
                ("events", role),
                f"`{name}` is of type {spec.type}, which is no {role}",
                f"a field of type {' or '.join(types)}",
            )
    yield from _not_negative(events.allow_backwards, ("events", "allow_backwards"))
    for name in ("allow_late", "idle_after", "expire"):
        yield from _not_negative(getattr(events, name) or timedelta(0), ("events", name))
    if events.idle_after is not None and events.allow_late is None:
        yield Mistake(
            ("events", "idle_after"),
            "it means nothing without `allow_late`: no watermark is kept",
            "`allow_late: 1h` beside it",
            key=True,
        )
    yield from _checks(problem)


def _checks(problem: Problem) -> Iterator[Mistake]:
    events = problem.events
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
        elif check.expression is not None and check.window is not None:
            yield Mistake(
                (*path, "window"),
                "an expression sees one event",
                "`function: module:name`, which is given the window",
                key=True,
            )
        elif check.expression is not None:
            kinds = {name: spec.formula_kind for name, spec in events.fields.items()}
            yield from formula_mistakes(check.expression, kinds, (*path, "expression"))


def label_mistakes(problem: Problem) -> Iterator[Mistake]:
    """Classes, range and default fit the task."""
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


def label_times_mistakes(problem: Problem) -> Iterator[Mistake]:
    """Delay and wait are possible."""
    label = problem.label
    if label.delay_events is not None and "delay" in label.model_fields_set:
        yield Mistake(
            ("label", "delay_events"),
            "`delay` and `delay_events` are both given",
            "one of them",
            key=True,
        )
    yield from _not_negative(label.delay, ("label", "delay"))
    yield from _conflict_mistakes(problem)
    if label.requests is not None and label.requests.window <= timedelta(0):
        path: Path = ("label", "requests", "window")
        yield Mistake(path, "a window must be positive", "a duration such as 1d")
    if label.wait is not None:
        yield from _not_negative(label.wait, ("label", "wait"))
        if label.wait < label.delay:
            yield Mistake(
                ("label", "wait"),
                "it is shorter than `delay`: every label would come too late",
                "a duration longer than `delay`",
            )


def _conflict_mistakes(problem: Problem) -> Iterator[Mistake]:
    label = problem.label
    numbers = problem.task == "regression"
    if label.conflict == ("majority" if numbers else "median"):
        write = "median" if numbers else "majority"
        what = "numbers rarely agree" if numbers else "classes have no middle"
        yield Mistake(("label", "conflict"), f"`{label.conflict}`: {what}", f"`{write}`")
    if label.conflict == "priority" and not label.labellers:
        path: Path = ("label", "conflict")
        yield Mistake(path, "`priority` needs an order", "`labellers: [expert, crowd]` beside it")
    if label.conflict != "first" and label.revisions:
        text = f"with `conflict: {label.conflict}` corrections are not counted"
        yield Mistake(("label", "revisions"), text, "no `revisions`", key=True)


def _not_negative(value: timedelta, path: Path) -> Iterator[Mistake]:
    if value < timedelta(0):
        yield Mistake(path, "a duration cannot be negative", "a duration such as 30m")


def label_field_mistakes(problem: Problem) -> Iterator[Mistake]:
    """The truth is no input."""
    name, events = problem.label.field, problem.events
    if name in events.fields:
        yield Mistake(
            ("label", "field"),
            f"`{name}` is also a field of the event: the answer would be known beforehand",
            f"events.fields without `{name}`",
        )
    elif name in (events.id, events.time):
        yield Mistake(("label", "field"), f"`{name}` is the event's id or time", "another column")
