"""From pydantic's errors to what people can act on."""

import re
from collections.abc import Container, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from shared.problem.mistakes import Mistake, Path, nearest
from shared.problem.spec import Problem

_EXAMPLES: Mapping[str, str] = {
    "name": "`name: demand` (lower-case letters, digits, - and _)",
    "goal": "`goal: Say every hour whether demand will rise.`",
    "task": "`task: binary` (or multiclass, regression)",
    "events": "`events:` with the `fields:` of an event under it",
    "events.fields": "`fields:` with one line a field, such as `price: {type: number}`",
    "label": "`label: {field: rises, classes: [0, 1]}`",
    "label.field": "`field: rises`: the column that holds the truth",
    "type": "`type: number` (or integer, boolean, category, text, time)",
    "kind": "`kind: lags` (or calendar, window, lookup, expression)",
    "reference": "`reference: customers`, a name under `references`",
    "key": "`key: customer`, the field of an event that it is looked up by",
    "on": "`on: drift` (or volume, growth, schedule)",
    "cron": '`cron: "0 3 * * 1"` (minute hour day month weekday)',
    "formula": "`formula: price - price_lag_1`",
    "expression": "`expression: price > 0`",
    "by": "`by: [1, 2, 48]`: how many events back",
    "parts": "`parts: [time_of_day, weekday]`",
    "of": "`of: [mean, std]`",
    "field": "`field: price`, a declared field",
    "path": "`path: events.csv`",
    "outcomes": "`outcomes: 10000`",
}
"""What to write for a key that is missing: by its whole path, else by its name."""

_WRITE: tuple[tuple[str, str], ...] = (
    ("bool", "true or false"),
    ("int", "a whole number, such as 10"),
    ("float", "a number, such as 0.5"),
    ("finite", "a finite number, or null for no bound"),
    ("time_delta", "a duration such as 30m, 2h or 1d"),
    ("value_error", "a duration such as 30m, 2h or 1d"),
    ("list", "a list, such as [a, b]"),
    ("tuple", "two values: [low, high] (null: no bound)"),
    ("too_long", "fewer: at most {max_length}"),
    ("too_short", "at least {min_length}"),
    ("string_too_long", "at most {max_length} characters"),
    ("greater_than_equal", "{ge} or more"),
    ("greater_than", "more than {gt}"),
    ("less_than_equal", "{le} or less"),
    ("less_than", "less than {lt}"),
)
"""What to write for a value of a wrong shape, by how pydantic's error type begins (longest wins)."""


def shape_mistakes(
    errors: list[ErrorDetails], values: Any, places: Container[Path]
) -> Iterator[Mistake]:
    """One mistake for each place that pydantic complains about."""
    seen: set[Path] = set()
    found = [_explained(error, values, places) for error in errors]
    meant = {(*m.path[:-1], m.write.split("`")[1]) for m in found if m.key and "`" in m.write}
    for mistake in found:
        missing = mistake.wrong.endswith("is missing")
        if mistake.path not in seen and not (missing and mistake.path in meant):
            seen.add(mistake.path)
            yield mistake


def _explained(error: ErrorDetails, values: Any, places: Container[Path]) -> Mistake:
    kind, context = error["type"], error.get("ctx", {})
    path = _path(error, places)
    name = path[-1] if path else ""
    if kind == "extra_forbidden":
        return Mistake(path, f"unknown key `{name}`", _known_key(path, values), key=True)
    if kind == "missing":
        return Mistake(path, f"`{name}` is missing", _example(path))
    if kind == "union_tag_not_found":
        tag = str(context.get("discriminator", "kind")).strip("'")
        return Mistake((*path, tag), f"`{tag}` is missing", _example((tag,)))
    if kind == "union_tag_invalid":
        tag = str(context.get("discriminator", "kind")).strip("'")
        allowed = re.findall(r"'([^']*)'", context["expected_tags"])
        return Mistake((*path, tag), f"{tag} `{context['tag']}`", nearest(context["tag"], allowed))
    shown = _shown(error["input"])
    if "literal" in kind:
        allowed = re.findall(r"'([^']*)'", context["expected"])
        return Mistake(path, f"{shown} is not allowed", nearest(error["input"], allowed))
    return Mistake(
        path,
        f"{shown}: {_lower(error['msg'])}",
        _write(error, path, values),
        key="[key]" in error["loc"],
    )


def _write(error: ErrorDetails, path: Path, values: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        section = _section(path, values)
        keys = f" with the keys {', '.join(section.model_fields)}" if section else ""
        return f"a section: indented `key: value` lines{keys}"
    if kind == "string_pattern_mismatch":
        if path == ("name",):
            return "lower-case letters, digits, - and _, a letter first"
        if path[-1:] == ("function",):
            return "module:function, such as my_checks:plausible"
        return "letters, digits and _, no digit first (it is a name in formulas)"
    if kind == "string_type":
        value = error["input"]
        return "some text" if value is None or isinstance(value, list | dict) else f'"{value}"'
    fitting = [(len(start), text) for start, text in _WRITE if kind.startswith(start)]
    return max(fitting)[1].format(**context) if fitting else _example(path)


def _path(error: ErrorDetails, places: Container[Path]) -> Path:
    """pydantic's location without what is not in the file (names of union members)."""
    path: Path = ()
    steps = error["loc"]
    for index, step in enumerate(steps):
        last = index == len(steps) - 1 and error["type"] == "missing"
        if last or (*path, step) in places:
            path = (*path, step)
    return path


def _known_key(path: Path, values: Any) -> str:
    section = _section(path[:-1], values)
    known = list(section.model_fields) if section else []
    advice = nearest(path[-1], known)
    if not advice.startswith("one of"):
        return advice
    homes = [home for home, keys in _HOMES.items() if path[-1] in keys]
    return f"it under `{homes[0]}`, or {advice}" if homes else advice


_HOMES = {
    name: set(field.annotation.model_fields)
    for name, field in Problem.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}


def _example(path: Path) -> str:
    whole = ".".join(map(str, path))
    name = str(path[-1]) if path else ""
    return _EXAMPLES.get(whole) or _EXAMPLES.get(name) or f"`{name}: ...`"


def _section(path: Path, values: Any) -> type[BaseModel] | None:
    """The model that stands at `path`."""
    shape: Any = Problem
    for step in path:
        child = values[step] if _has(values, step) else None
        shape = _inside(shape, step, child)
        values = child
    return shape if isinstance(shape, type) and issubclass(shape, BaseModel) else None


def _has(values: Any, step: str | int) -> bool:
    if isinstance(step, int):
        return isinstance(values, list) and step < len(values)
    return isinstance(values, dict) and step in values


def _inside(shape: Any, step: str | int, value: Any) -> Any:
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        field = shape.model_fields.get(str(step))
        inner: Any = field.annotation if field else None
    else:
        arguments = get_args(shape)
        inner = arguments[-1] if get_origin(shape) in (list, dict) else None
    while get_origin(inner) is Annotated:
        inner = get_args(inner)[0]
    if get_origin(inner) in (Union, UnionType):
        return _member(get_args(inner), value)
    return inner


def _member(members: tuple[Any, ...], value: Any) -> Any:
    """The member of a union that `value` chooses by its `kind` or `on`, or the only section."""
    models = [m for m in members if isinstance(m, type) and issubclass(m, BaseModel)]
    for model in models:
        for tag in ("kind", "on"):
            field = model.model_fields.get(tag)
            if field and isinstance(value, dict) and value.get(tag) in get_args(field.annotation):
                return model
    return models[0] if len(models) == 1 else None


def _shown(value: Any) -> str:
    if value is None:
        return "this is empty"
    if isinstance(value, dict | list):
        return "a section" if isinstance(value, dict) else "a list"
    return f"`{str(value)[:60]}`"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
