"""Events become valid or rejected."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.validator.checks import Checks
from services.validator.decoding import decode_event
from services.validator.ids import NewestIds
from services.validator.usual import needs_rule, usual_decoder
from services.validator.watermarks import Watermarks
from shared.errors import Reject
from shared.features.keys import Keys
from shared.features.past import NEVER, Plan
from shared.messages.cloudevents import Attributes, opened
from shared.messages.streams import REJECTED, VALID
from shared.messages.types import Valid
from shared.problem.durations import duration_text
from shared.problem.field_rules import FieldRule, shown
from shared.problem.scalars import scalar_text
from shared.problem.spec import Problem
from shared.problem.times import EPOCH, microseconds, parse_time, time_at, time_text
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
        self._backwards_by = events.allow_backwards
        self._backwards = duration_text(events.allow_backwards)
        self._ahead = events.allow_ahead
        self._allow_late = duration_text(events.allow_late or timedelta(0))
        rules = [
            (FieldRule(name, spec, events.environment).apply, needs_rule(spec))
            for name, spec in events.fields.items()
        ]
        self._usual = usual_decoder(events)
        self._rules = [apply for apply, _ in rules]
        self._rules_of_usual = [apply for apply, needed in rules if needed]
        named = (self._id, self._time, events.environment)
        self._mapped = [name for name in named if name and name not in events.fields]
        self._ids = NewestIds(events.duplicate_window)
        self._watermarks = Watermarks(events)
        plan = Plan()
        self._checks = Checks(problem, plan)
        self._newest = Keys(plan, events.max_keys, events.expire)

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
        rules = self._rules_of_usual
        fields = self._usual(value)
        if fields is None:
            rules = self._rules
            fields = decode_event(value, self._most_bytes)
        name = self._name(record, cloud) if self._id is None else _name_in(fields, self._id, "id")
        time = self._time_of(fields, record, cloud)
        key = self._key_of(cloud) if self._key is None else _name_in(fields, self._key, "key")
        has_id = self._id is not None or cloud is not None or again
        has_time = self._time is not None or (cloud is not None and cloud.time is not None)
        for apply in rules:
            apply(fields)
        if self._checks.any:
            self._checks.apply(fields, key or "", self._newest)
        if has_id and name in self._ids.known:
            raise Reject(
                f"an event with the id {shown(name)} was there before", "duplicate", self._id
            )
        late = has_time and self._late(key or "", time, record, again)
        if has_id:
            self._ids.add(name)
        if self._checks.remembers:
            past = self._newest.at(key or "", time if has_time else NEVER)
            self._checks.remember(fields, key or "", past)
        source = fields.get(self._source) if self._source is not None else None
        for mapped in self._mapped:
            fields.pop(mapped, None)
        return Valid(
            name, time, fields, key, late, None if source is None else str(source)[:MAX_NAME]
        )

    def _name(self, record: Record, cloud: Attributes | None) -> str:
        if cloud is not None:
            return _name_in({"ce_id": cloud.id}, "ce_id", "id")
        place = f"{record.partition}:{record.offset}"
        if record.headers and REPLAYED in record.headers:
            place = record.headers[REPLAYED][:MAX_NAME].decode(errors="replace")
        return f"{self._problem}.{record.stream}:{place}"

    def _key_of(self, cloud: Attributes | None) -> str | None:
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
        watermarks = self._watermarks
        if watermarks.counts and not again:
            self._not_behind(microseconds(time), record)
        past = self._newest.past(key)
        before = NEVER if past is None else past.time
        late = time < before
        if late and before - time > self._backwards_by and not again:
            of = f" of {shown(key)}" if key else ""
            raise Reject(
                f"{self._time or 'ce_time'} is {time_text(time)}, but an event{of} at "
                f"{time_text(before)} came before; events.allow_backwards is {self._backwards}",
                "backwards",
                self._time,
            )
        self._newest.at(key, time)
        if watermarks.counts:
            watermarks.move(record.partition, microseconds(time), record.timestamp_ms)
        return late

    def _not_behind(self, time_us: int, record: Record) -> None:
        passed_us = self._watermarks.passed_us(record.partition, time_us, record.timestamp_ms)
        if passed_us is not None:
            at, mark = time_at(time_us), time_at(passed_us)
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
