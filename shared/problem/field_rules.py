"""One field of an event, or of a reference, against its declaration: there, of its type, in bounds."""

from collections.abc import Callable, Mapping
from math import inf, isfinite
from typing import Any

import msgspec

from shared.errors import Reject
from shared.problem.patterns import matcher
from shared.problem.scalars import scalar_text
from shared.problem.spec import FieldSpec
from shared.problem.times import parse_time, time_text

_EXPECTED = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "category": "a category (text, a whole number, true or false)",
    "text": "text",
    "time": 'a time such as "2026-01-31T12:00:00Z"',
}
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


class FieldRule:
    """Checks one field and puts its canonical value: floats for numbers, RFC 3339 for times, the
    category as declared.
    """

    def __init__(self, name: str, spec: FieldSpec, environment: str | None = None) -> None:
        self.name = name
        self._environment = environment
        self._matches = None if spec.pattern is None else matcher(spec.pattern)
        low, high = spec.range or (None, None)
        self.low = -inf if low is None else low
        self.high = inf if high is None else high
        self._categories = {scalar_text(value): value for value in spec.categories or ()}
        self._spec = spec
        self._text = spec.formula_kind == "text"
        self._read = _READERS[spec.type]

    def apply(self, fields: dict[str, Any]) -> None:
        """Check and normalise the field in `fields`.

        Raises:
            Reject: `check` is one of missing, type, range, category, pattern.
        """
        value = fields.get(self.name)
        if value is None:
            self._absent(fields)
            fields[self.name] = None
            return
        try:
            result = self._read(value, self._spec.coerce)
        except (ValueError, OverflowError) as error:
            expected = _EXPECTED[self._spec.type]
            raise self._reject(f"is {shown(value)}; {expected} is expected", "type") from error
        if self._spec.type == "category":
            result = self._category(result)
        elif self._spec.type in ("number", "integer") and not self.low <= result <= self.high:
            raise self._reject(f"is {result:g}; the problem file allows {self._span()}", "range")
        if self._matches is not None and not self._matches(scalar_text(result)):
            pattern = f"a text that matches {self._spec.pattern} is expected"
            raise self._reject(f"is {shown(value)}; {pattern}", "pattern")
        fields[self.name] = result

    def _absent(self, fields: Mapping[str, Any]) -> None:
        spec = self._spec
        if (
            spec.absent_in
            and self._environment
            and fields.get(self._environment) in spec.absent_in
        ):
            return
        if spec.missing == "reject":
            raise self._reject("is missing; the problem file rejects that", "missing")
        if spec.required and self.name not in fields:
            raise self._reject(
                "is missing; the problem file requires it (null would say: not known)", "missing"
            )

    def _category(self, value: Any) -> Any:
        text = scalar_text(value)
        if not self._categories:
            return text
        known = self._categories.get(text)
        if known is None and self._spec.unseen == "reject":
            allowed = ", ".join(list(self._categories)[:8])
            more = ", ..." if len(self._categories) > 8 else ""
            raise self._reject(
                f"is {shown(value)}; the problem file allows {allowed}{more}", "category"
            )
        return text if self._text or known is None else known

    def _span(self) -> str:
        if self.low == -inf:
            return f"{self.high:g} or less"
        return f"{self.low:g} or more" if self.high == inf else f"{self.low:g} to {self.high:g}"

    def _reject(self, what: str, check: str) -> Reject:
        return Reject(f"{self.name} {what}", check, self.name)


def shown(value: Any) -> str:
    """A value as JSON, cut to what a reader needs."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _number(value: Any, coerce: bool) -> float:
    if coerce and isinstance(value, str) and "_" not in value:
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError
    return float(value)


def _integer(value: Any, coerce: bool) -> int:
    if coerce and isinstance(value, str) and "_" not in value:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ValueError
    return value


def _boolean(value: Any, coerce: bool) -> bool:
    if coerce and not isinstance(value, bool) and isinstance(value, str | int | float):
        value = _BOOLEANS.get(scalar_text(value).strip().lower())
    if not isinstance(value, bool):
        raise ValueError
    return value


def _category(value: Any, coerce: bool) -> Any:
    if isinstance(value, str | int) or (isinstance(value, float) and value.is_integer()):
        return value
    raise ValueError


def _text(value: Any, coerce: bool) -> str:
    if coerce and isinstance(value, int | float):
        return scalar_text(value)
    if not isinstance(value, str):
        raise ValueError
    return value


def _time(value: Any, coerce: bool) -> str:
    return time_text(parse_time(value))


_READERS: dict[str, Callable[[Any, bool], Any]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "category": _category,
    "text": _text,
    "time": _time,
}
