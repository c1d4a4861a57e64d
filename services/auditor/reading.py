"""What a raw event says, read by the problem file alone: plain, slow, and apart from the validator."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shared.errors import Reject
from shared.messages.cloudevents import Attributes, opened
from shared.messages.types import Valid
from shared.problem.scalars import scalar_text
from shared.problem.spec import FieldSpec, Problem
from shared.problem.times import EPOCH, parse_time, time_text
from shared.rejecting import REPLAYED
from shared.stage import Record

_decode = msgspec.json.Decoder().decode
_TRUE = ("true", "yes", "1")


class Reading:
    """Raw events as the validator would hand them on, were they accepted. It judges nothing."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._events = problem.events
        self._readers = [(name, _reader(spec)) for name, spec in problem.events.fields.items()]

    def valid(self, record: Record) -> Valid | None:
        """The event; None: it cannot be read, so it cannot have been accepted."""
        try:
            data, cloud = opened(record.value, record.headers)
            event = _decode(data)
            if not isinstance(event, dict):
                return None
            time = self._time(event, record, cloud)
            fields = {
                name: None if (value := event.get(name)) is None else read(value)
                for name, read in self._readers
            }
            return Valid(self._id(event, record, cloud), time, fields, self._key(event, cloud))
        except (Reject, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None

    def _id(self, event: Mapping[str, Any], record: Record, cloud: Attributes | None) -> str:
        if self._events.id is not None:
            return scalar_text(event[self._events.id])
        if cloud is not None:
            return cloud.id
        place = f"{record.partition}:{record.offset}"
        if record.headers and REPLAYED in record.headers:
            place = record.headers[REPLAYED].decode(errors="replace")
        return f"{self._problem.name}.{record.stream}:{place}"

    def _key(self, event: Mapping[str, Any], cloud: Attributes | None) -> str | None:
        if self._events.key is not None:
            return scalar_text(event[self._events.key])
        return cloud.subject if cloud else None

    def _time(
        self, event: Mapping[str, Any], record: Record, cloud: Attributes | None
    ) -> datetime:
        if self._events.time is not None:
            return parse_time(event[self._events.time])
        if cloud is not None and cloud.time is not None:
            return cloud.time.astimezone(UTC)
        return EPOCH + timedelta(milliseconds=record.timestamp_ms)


def _reader(spec: FieldSpec) -> Callable[[Any], Any]:
    if spec.type == "category":
        declared = {scalar_text(value): value for value in spec.categories or ()}
        return lambda value: declared.get(text := scalar_text(value), text)
    return _READERS[spec.type]


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else scalar_text(value).strip().lower() in _TRUE


_READERS: dict[str, Callable[[Any], Any]] = {
    "number": float,
    "integer": int,
    "boolean": _boolean,
    "text": scalar_text,
    "time": lambda value: time_text(parse_time(value)),
}
