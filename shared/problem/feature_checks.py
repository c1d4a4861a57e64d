"""What the sections on features cannot say by their shape."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from shared.problem.mistakes import Mistake, Path, nearest
from shared.problem.part_checks import formula_mistakes, zone_mistakes
from shared.problem.reference_checks import lookup_mistakes
from shared.problem.spec import (
    Auto,
    Calendar,
    Decayed,
    Expression,
    Feature,
    Lookup,
    Problem,
    Since,
    Window,
)

_MAX_COLUMNS = 5_000
_MAX_ENCODED_CLASSES = 32


def features_mistakes(problem: Problem) -> Iterator[Mistake]:
    """Features have names of their own, and are made from what is there."""
    seen: dict[str, Path] = dict.fromkeys(problem.events.fields, ())
    for name, spec in problem.events.fields.items():
        columns = [column for column in spec.columns(name) if column != name]
        yield from _fresh(columns, seen, ("events", "fields", name))
    for index, feature in enumerate(problem.features):
        path: Path = ("features", index)
        yield from _one(feature, problem, index)
        names = dict.fromkeys(feature.columns())
        if isinstance(feature, Lookup):
            names |= dict.fromkeys(feature.found())  # formulas know those too
        yield from _fresh(list(names), seen, path)
    yield from _by_target(problem, seen)
    count = len(problem.model_names)
    if not count and problem.events.fields:
        yield Mistake(("features",), "there is no feature: nothing to learn from", "a feature")
    if count > _MAX_COLUMNS:
        yield Mistake(
            ("features",), f"{count:,} features are too many", f"at most {_MAX_COLUMNS:,}"
        )


def _by_target(problem: Problem, seen: dict[str, Path]) -> Iterator[Mistake]:
    """What `encode: target` needs to know of the label, and the names of its columns."""
    for name in problem.by_target:
        path: Path = ("events", "fields", name)
        classes = problem.label.classes or []
        if problem.task == "multiclass" and not 0 < len(classes) <= _MAX_ENCODED_CLASSES:
            yield Mistake(
                (*path, "encode"),
                "`target` needs the classes to be declared here, one column each, at most "
                f"{_MAX_ENCODED_CLASSES}",
                "`classes: [a, b, c]` under `label`, or `encode: hash`",
            )
        else:
            yield from _fresh(list(problem.target_columns(name)), seen, path)


def _one(feature: Feature, problem: Problem, index: int) -> Iterator[Mistake]:
    path: Path = ("features", index)
    kinds = problem.formula_kinds(index)
    if isinstance(feature, Calendar):
        yield from zone_mistakes(feature.zone, (*path, "zone"))
    elif isinstance(feature, Expression | Since):
        text = "true" if feature.formula is None else feature.formula
        yield from formula_mistakes(text, kinds, (*path, "formula"))
    elif isinstance(feature, Auto):
        yield from _auto(feature, path)
    elif isinstance(feature, Lookup):
        yield from lookup_mistakes(feature, problem, path)
    else:
        yield from _past_of(feature.field, kinds, (*path, "field"))
    if isinstance(feature, Window):
        yield from _window(feature, path)
    if isinstance(feature, Decayed) and feature.half_life <= timedelta(0):
        yield Mistake((*path, "half_life"), "it must be positive", "a duration such as 1h")


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


def _auto(auto: Auto, path: Path) -> Iterator[Mistake]:
    for index, span in enumerate(auto.spans):
        if span <= timedelta(0):
            yield Mistake((*path, "spans", index), "a span must be positive", "[1h, 1d]")


def _window(window: Window, path: Path) -> Iterator[Mistake]:
    spans = {"span": window.span, "tumbling": window.tumbling, "session": window.session}
    given = [name for name, span in spans.items() if span is not None]
    if len(given) + (window.size is not None) != 1:
        yield Mistake(
            path,
            "a window needs `size`, `span`, `tumbling` or `session`, one of them",
            "`size: 48` (events) or `span: 1d` (event time)",
        )
    elif given and (spans[given[0]] or timedelta(0)) <= timedelta(0):
        yield Mistake((*path, given[0]), f"a {given[0]} must be positive", "a duration such as 1d")
    if "rate" in window.of and window.size is not None:
        yield Mistake(
            (*path, "of"),
            "`rate` counts values an hour, and this window has a size in events",
            "`span: 1d`, `tumbling: 1d` or `session: 30m` instead of `size`",
        )
    if not window.of and not window.minus_now:
        yield Mistake((*path, "of"), "no statistic is asked for", "`of: [mean, std]`")
