"""Features that the time and the past of a column suggest: calendar parts, windows, lags."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from shared.draft.column import Column
from shared.draft.moments import F64, Moments
from shared.draft.rhythm import USUAL_SIZES, Past, Series, neighbours_score
from shared.problem.spec import Calendar, Lags, Task, Window

_DAY_S = 86_400.0
_MOST_LOOKED_AT, _MOST_USED = 200, 8
_MOST_CLASSES = 20
_MOST_BESIDE = 50
_REMEMBERS, _WORTH = 0.5, 0.01


class Suggested(NamedTuple):
    """Features as in the problem file, each with its comment; the season in rows, if there is one."""

    features: list[tuple[dict[str, Any], str]]
    season: int | None


def calendar(moments: Moments, taken: set[str]) -> list[tuple[dict[str, Any], str]]:
    """The parts of the time that come back often enough in what was seen."""
    known = np.sort(moments.seconds)
    span_s, steps = float(known[-1] - known[0]), np.diff(known)
    step_s = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    parts: list[Any] = []
    if step_s < _DAY_S and span_s >= 2 * _DAY_S:
        parts.append("time_of_day")
    if step_s <= 2 * _DAY_S and span_s >= 14 * _DAY_S:
        parts.append("weekday")
    if span_s >= 500 * _DAY_S:
        parts.append("month")
    if not parts or taken & set(Calendar(kind="calendar", parts=parts).columns()):
        return []
    why = f"{span_s / _DAY_S:.3g} days were seen; zone: UTC unless you write `zone: Europe/Berlin`"
    return [({"kind": "calendar", "parts": parts}, why)]


def windows(
    columns: Sequence[Column], target: Column, task: Task, key: Column | None, keys: Sequence[Any]
) -> Suggested:
    """Windows and lags of the columns that remember, where they say more on the target than the
    column itself does. `keys`: the key's cell of each row (when there is a `key`).
    """
    with np.errstate(
        all="ignore"
    ):  # numbers near the largest give no correlation, hence no window
        return _windows(columns, target, task, key, keys)


def _windows(
    columns: Sequence[Column], target: Column, task: Task, key: Column | None, keys: Sequence[Any]
) -> Suggested:
    codes = np.unique([str(cell) for cell in keys], return_inverse=True)[1] if key else None
    places = np.zeros(target.rows, np.int64) if codes is None else codes.astype(np.int64)
    series = Series(places, _target(target, task))
    numeric = [c for c in columns if c.numbers is not None and not c.constant][:_MOST_LOOKED_AT]
    remembering = [
        (column, column.numbers)
        for column in numeric
        if column.numbers is not None and series.remembers(column.numbers) > _REMEMBERS
    ]
    season = series.season([numbers for _, numbers in remembering])
    sizes = USUAL_SIZES if season is None else (season, *USUAL_SIZES)
    found: dict[str, Past] = {}
    for column, numbers in remembering:
        past = series.past(numbers, sizes, season)
        if past is not None:
            found[column.name] = past
    best = sorted(found, key=lambda name: -found[name].gain)[:_MOST_USED]
    used = {name: past for name, past in found.items() if name in best}
    if used and not _worth(series, numeric, used, _target(target, task), task):
        used = {}
    return Suggested(_lines(used, {c.name for c in columns}, season), season)


def _worth(
    series: Series, columns: Sequence[Column], used: Mapping[str, Past], target: F64, task: Task
) -> bool:
    """Whether neighbours answer better when they also see the past: not only on their own, as a
    correlation tells, but beside all columns."""
    shown = {c.name: c.numbers for c in columns[:_MOST_BESIDE] if c.numbers is not None}
    shown |= {c.name: c.numbers for c in columns if c.name in used and c.numbers is not None}
    base = np.column_stack([np.nan_to_num(x, nan=float(np.nanmean(x))) for x in shown.values()])
    more = [series.derived(shown[name], past) for name, past in used.items()]
    regression = task == "regression"
    without = neighbours_score(base, target, regression)
    return neighbours_score(np.column_stack([base, *more]), target, regression) >= without + _WORTH


def _lines(
    found: Mapping[str, Past], taken: set[str], season: int | None
) -> list[tuple[dict[str, Any], str]]:
    lines: list[tuple[dict[str, Any], str]] = []
    for name, past in found.items():
        why = f"explains {past.gain:.0%} more of the target than {name} itself"
        if past.size:
            of = {"kind": "window", "field": name, "size": past.size, "of": ["mean"]}
            options = {**of, "minus_now": True}
            if not taken & set(Window.model_validate(options).columns()):
                lines.append((options, why + (", over a season" if past.size == season else "")))
        if past.lag:
            options = {"kind": "lags", "field": name, "by": [past.lag], "difference": True}
            if not taken & set(Lags.model_validate(options).columns()):
                lines.append((options, why))
    return lines


def _target(target: Column, task: Task) -> F64:
    """[n, c]: the numbers, or one column for each of the most frequent classes."""
    if task == "regression" and target.numbers is not None:
        mean = float(np.nanmean(target.numbers))
        filled: F64 = np.nan_to_num(target.numbers, nan=mean)
        return filled[:, None]
    codes = target.codes
    frequent = np.argsort(-np.bincount(codes[codes >= 0]), kind="stable")[:_MOST_CLASSES]
    shown: F64 = (codes[:, None] == frequent[None, :]).astype(np.float64)
    return shown
