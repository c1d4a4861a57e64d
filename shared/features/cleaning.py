"""Declared fields as clean values: numbers, text, seconds; a missing one filled as declared."""

from collections.abc import Callable
from math import isfinite
from typing import Any

from shared.features.past import Fill, Past, Plan
from shared.problem.scalars import scalar_text
from shared.problem.spec import FieldSpec
from shared.problem.times import parse_time


class Cleaned:
    """Reads one field; `missing` says what stands for an absent one: nothing, the mean or the last
    value of the same key's past.
    """

    def __init__(self, name: str, spec: FieldSpec, plan: Plan) -> None:
        self.as_it_is = spec.missing in ("keep", "reject") and spec.type == "number"
        """Whether a finite float needs no call."""
        self._read = _reader(spec)
        self._mean = spec.missing == "mean"
        self._fill = plan.fill(name) if spec.missing in ("mean", "last") else None

    def __call__(self, value: Any, past: Past) -> Any:
        """A finite float or text; None is missing."""
        result = None if value is None else self._read(value)
        if self._fill is None:
            return result
        known = past.fills[self._fill]
        if result is None:
            return (known.mean if self._mean else known.last) if known.seen else None
        count = known.seen + 1
        mean = known.mean * (known.seen / count) + result / count if self._mean else 0.0
        past.fills[self._fill] = Fill(count, mean, None if self._mean else result)
        return result


def _reader(spec: FieldSpec) -> Callable[[Any], Any]:
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
