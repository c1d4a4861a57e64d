"""Declared fields as clean values: numbers, text, seconds; a missing one filled as declared, an outlier
clipped or flagged. Everything is fitted on the same key's past, before the event itself.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from math import isfinite
from statistics import median
from typing import Any, NamedTuple

from shared.features.lags import finite
from shared.features.moments import Moments
from shared.features.past import Past, Plan
from shared.features.port import Row
from shared.problem.scalars import scalar_text
from shared.problem.spec import FieldSpec
from shared.problem.times import parse_time

NEWEST = 101
"""Observed values of a key that a median or a mode is taken of."""


class Fill(NamedTuple):
    """Running count, mean and last value of a field."""

    seen: int = 0
    mean: float = 0.0
    last: Any = None

    def filled(self, name: str) -> Any:
        """What stands for a missing value; None while nothing was seen."""
        if not self.seen:
            return None
        return self.mean if name == "mean" else self.last

    def with_value(self, value: Any, name: str) -> "Fill":
        """One value more."""
        if name == "last":
            return Fill(self.seen + 1, 0.0, value)
        count = self.seen + 1
        return Fill(count, self.mean * (self.seen / count) + value / count)


class Newest(NamedTuple):
    """The newest observed values of a field, oldest first."""

    values: Sequence[Any] = ()

    def filled(self, name: str) -> Any:
        """Their median, or the most frequent one (of several the one that was seen last)."""
        if not self.values:
            return None
        if name == "median":
            return finite(median(self.values))
        counts = Counter(reversed(self.values))
        return counts.most_common(1)[0][0]

    def with_value(self, value: Any, name: str) -> "Newest":
        """One value more; the oldest goes."""
        return Newest((*self.values[-NEWEST + 1 :], value))


_FILLS: dict[str, type[Fill] | type[Newest]] = {
    "mean": Fill, "last": Fill, "median": Newest, "mode": Newest,
}  # fmt: skip
_SCALES: dict[str, Callable[[Moments, float], float | None]] = {
    "standard": Moments.standard,
    "minmax": Moments.minmax,
}


class Cleaned:
    """Reads one field; says what its options make of it."""

    def __init__(self, name: str, spec: FieldSpec, plan: Plan) -> None:
        filled, moved = spec.missing in _FILLS, spec.outliers in ("clip", "flag") or spec.scale
        plain = not moved and spec.missing in ("keep", "reject")
        self.as_it_is = plain and spec.type == "number"
        """Whether a finite float needs no call."""
        self._read = reader(spec)
        self._missing = spec.missing
        self._fill = plan.fill(_FILLS[spec.missing]()) if filled else None
        self._moments = plan.fill(Moments()) if moved else None
        self._limit = spec.outlier_limit
        self._outliers = spec.outliers
        columns = spec.columns(name)
        flags = {f"{name}_missing", f"{name}_outlier"} & set(columns)
        self._missing_flag = f"{name}_missing" if f"{name}_missing" in flags else None
        self._outlier_flag = f"{name}_outlier" if f"{name}_outlier" in flags else None
        self._scale = _SCALES[spec.scale] if spec.scale else None
        self._scaled = f"{name}_scaled"

    def __call__(self, value: Any, past: Past, row: Row) -> Any:
        """A finite float or text; None is missing. Flags and the scaled value go into `row`."""
        result = None if value is None else self._read(value)
        if self._missing_flag:
            row[self._missing_flag] = 1.0 if result is None else 0.0
        before: Moments | None = None
        if self._moments is not None:
            before = past.fills[self._moments]
            result = self._fenced(result, before, past, row)
        if self._fill is not None:
            known = past.fills[self._fill]
            if result is None:
                result = known.filled(self._missing)
            else:
                past.fills[self._fill] = known.with_value(result, self._missing)
        if self._scale and before is not None:
            scaled = None if result is None else self._scale(before, result)
            row[self._scaled] = None if scaled is None else finite(scaled)
        return result

    def _fenced(self, value: float | None, known: Moments, past: Past, row: Row) -> float | None:
        """The value as it passes on; what is remembered of it lies within the fences."""
        within = value
        if value is not None:
            if self._outliers != "keep":
                within = known.fenced(value, self._limit)
            assert within is not None and self._moments is not None
            past.fills[self._moments] = known.with_value(within)
        if self._outlier_flag:
            row[self._outlier_flag] = None if value is None else float(within != value)
        return within if self._outliers == "clip" else value


def reader(spec: FieldSpec) -> Callable[[Any], Any]:
    """What turns a checked value into a finite float or text; None: it cannot."""
    if spec.type == "time":
        return _seconds
    if spec.formula_kind == "text":
        return _text
    return _number


def _number(value: Any) -> float | None:
    """What is no finite number is missing: the validator lets none pass."""
    if isinstance(value, int | float) and isfinite(value):
        return float(value)
    return None


def _text(value: Any) -> str | None:
    return scalar_text(value) if isinstance(value, str | int | float) else None


def _seconds(value: Any) -> float | None:
    try:
        return parse_time(value).timestamp()
    except ValueError:
        return None
