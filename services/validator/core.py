"""Events become valid or rejected."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.validator.checks import Checks
from services.validator.decoding import decode_event
from services.validator.fields import FieldRule, shown
from services.validator.ids import NewestIds
from services.validator.watermarks import Watermarks
from shared.errors import Reject
from shared.features.keys import Keys
from shared.features.past import NEVER_US, Plan
from shared.messages.cloudevents import Attributes, opened
from shared.messages.streams import REJECTED, VALID
from shared.messages.types import Valid
from shared.problem.durations import duration_text
from shared.problem.scalars import scalar_text
from shared.problem.spec import Problem
from shared.problem.times import EPOCH, microseconds, parse_time, time_text
from shared.rejecting import REPLAYED, rejected
from shared.stage import Out, Record

MAX_NAME = 256
"""Characters of an id or a key: they are remembered by the thousand."""


class Validator:
    """A fold over one partition of events: newest ids, newest time of each key, watermarks."""

    def __init__(self, problem: Problem) -> None:
        events = problem.events
        self._problem = problem.name
        self._id, self._time, self._key = events.id, events.time, events.key
        self._source = events.environment
        self._most_bytes = events.max_bytes
        self._backwards_us = events.allow_backwards // timedelta(microseconds=1)
        self._backwards = duration_text(events.allow_backwards)
        self._ahead = events.allow_ahead
        self._allow_late = duration_text(events.allow_late or timedelta(0))
        rules = [
            (FieldRule(name, spec, events.environment), spec.type)
            for name, spec in events.fields.items()
        ]
        self._numbers = [(r.name, r.low, r.high, r.apply) for r, kind in rules if kind == "number"]
        self._others = [(r.name, r.known, r.apply) for r, kind in rules if kind != "number"]
        named = (self._id, self._time, events.environment)
        self._mapped = [name for name in named if name and name not in events.fields]
        self._ids = NewestIds(events.duplicate_window)
        self._watermarks = Watermarks(events)
        self._plan = Plan()
        self._checks = Checks(problem, self._plan)
        self._newest = Keys(self._plan, events.max_keys)

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """See `shared.stage.Stage`."""
        for record in records:
            try:
                valid = self._valid(record)
            except Reject as why:
                yield Out(REJECTED, rejected(record, self._problem, why), record)
            else:
                yield Out(VALID, valid, record, valid.key or valid.id)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """See `shared.stage.Stage`."""
        yield from self._ids.changes()
        yield from self._newest.changes()
        yield from self._watermarks.changes()
        yield from self._checks.recent.changes()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See `shared.stage.Stage`."""
        self._ids.restore(entries)
        self._newest.restore(entries)
        self._watermarks.restore(entries)
        self._checks.recent.restore(entries)

    def _valid(self, record: Record) -> Valid:
        """The event, checked; only then it becomes part of the state.

        Raises:
            Reject: it cannot be used.
        """
        value, cloud, again = record.value, None, False
        if record.headers is not None:
            value, cloud = opened(value, record.headers)
            again = REPLAYED in record.headers
        fields = decode_event(value, self._most_bytes)
        name = self._name(fields, record, cloud)
        time = self._time_of(fields, record, cloud)
        key = self._key_of(fields, cloud)
        has_id = self._id is not None or cloud is not None or again
        has_time = self._time is not None or (cloud is not None and cloud.time is not None)
        for number, low, high, apply in self._numbers:
            value = fields.get(number)
            if value.__class__ is not float or not low <= value <= high:
                apply(fields)
        for other, known, apply in self._others:
            value = fields.get(other)
            if value.__class__ is not str or value not in known:
                apply(fields)
        self._checks.apply(fields, key or "", self._newest)
        if has_id and name in self._ids:
            raise Reject(
                f"an event with the id {shown(name)} was there before", "duplicate", self._id
            )
        late = has_time and self._late(key or "", time, record, again)
        if has_id:
            self._ids.add(name)
        if self._checks.remembers:
            at_us = microseconds(time) if has_time else NEVER_US
            self._checks.remember(fields, key or "", self._newest.at(key or "", at_us))
        source = fields.get(self._source) if self._source is not None else None
        for mapped in self._mapped:
            fields.pop(mapped, None)
        return Valid(
            name, time, fields, key, late, None if source is None else str(source)[:MAX_NAME]
        )

    def _name(self, fields: Mapping[str, Any], record: Record, cloud: Attributes | None) -> str:
        if self._id is not None:
            return _name_in(fields, self._id, "id")
        if cloud is not None:
            return _name_in({"ce_id": cloud.id}, "ce_id", "id")
        place = f"{record.partition}:{record.offset}"
        if record.headers and REPLAYED in record.headers:
            place = record.headers[REPLAYED][:MAX_NAME].decode(errors="replace")
        return f"{self._problem}.{record.stream}:{place}"

    def _key_of(self, fields: Mapping[str, Any], cloud: Attributes | None) -> str | None:
        if self._key is not None:
            return _name_in(fields, self._key, "key")
        if cloud is None or cloud.subject is None:
            return None
        return _name_in({"ce_subject": cloud.subject}, "ce_subject", "key")

    def _time_of(
        self, fields: Mapping[str, Any], record: Record, cloud: Attributes | None
    ) -> datetime:
        if self._time is None and cloud is not None and cloud.time is not None:
            if self._ahead is not None:
                self._not_ahead(cloud.time, record)
            return cloud.time.astimezone(UTC)
        if self._time is None:
            try:
                return EPOCH + timedelta(milliseconds=record.timestamp_ms)
            except OverflowError as error:
                text = f"the record's time, {record.timestamp_ms} ms, is out of bounds"
                raise Reject(text, "time") from error
        value = fields.get(self._time)
        if value is None:
            raise Reject(f"{self._time} is missing; it is the event's time", "time", self._time)
        try:
            time = parse_time(value)
        except ValueError as error:
            raise Reject(
                f'{self._time} is {shown(value)}; a time such as "2026-01-31T12:00:00Z" is expected',
                "time",
                self._time,
            ) from error
        if self._ahead is not None:
            self._not_ahead(time, record)
        return time

    def _not_ahead(self, time: datetime, record: Record) -> None:
        arrived = timedelta(milliseconds=record.timestamp_ms)
        if time - EPOCH - arrived > (self._ahead or timedelta(0)):
            raise Reject(
                f"{self._time or 'ce_time'} is {time_text(time)}, further ahead of its arrival than "
                f"events.allow_ahead ({duration_text(self._ahead or timedelta(0))})",
                "ahead",
                self._time,
            )

    def _late(self, key: str, time: datetime, record: Record, again: bool) -> bool:
        """Whether the key's event time goes back; it moves on otherwise. A replayed event may."""
        now_us = microseconds(time)
        if self._watermarks.counts and not again:
            self._not_behind(now_us, record)
        newest_us = self._newest.newest_us(key)
        late = newest_us is not None and now_us < newest_us
        if newest_us is not None and now_us < newest_us - self._backwards_us and not again:
            before = EPOCH + timedelta(microseconds=newest_us)
            of = f" of {shown(key)}" if key else ""
            raise Reject(
                f"{self._time or 'ce_time'} is {time_text(time)}, but an event{of} at "
                f"{time_text(before)} came before; events.allow_backwards is {self._backwards}",
                "backwards",
                self._time,
            )
        self._newest.at(key, now_us).append({}, self._plan)
        if self._watermarks.counts:
            self._watermarks.move(record.partition, now_us, record.timestamp_ms)
        return late

    def _not_behind(self, time_us: int, record: Record) -> None:
        passed_us = self._watermarks.passed_us(record.partition, time_us, record.timestamp_ms)
        if passed_us is not None:
            at, mark = (EPOCH + timedelta(microseconds=us) for us in (time_us, passed_us))
            raise Reject(
                f"{self._time or 'ce_time'} is {time_text(at)}, but the watermark of partition "
                f"{record.partition} is {time_text(mark)}; events.allow_late is {self._allow_late}",
                "late",
                self._time,
            )


def _name_in(fields: Mapping[str, Any], field: str, what: str) -> str:
    """An id or a key as text.

    Raises:
        Reject: it is missing, no name, or too long.
    """
    value = fields.get(field)
    if value.__class__ is not str:
        if value is None:
            raise Reject(f"{field} is missing; it is the event's {what}", what, field)
        if not isinstance(value, int | float):
            raise Reject(
                f"{field} is {shown(value)}; text is expected for the {what}", what, field
            )
        value = scalar_text(value)
    if not 0 < len(value) <= MAX_NAME:
        text = f"{field} has {len(value)} characters; the {what} needs 1 to {MAX_NAME}"
        raise Reject(text, what, field)
    return value
