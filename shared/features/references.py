"""What the topic `references` says, by key and time: a fold over one totally ordered partition.

It depends on nothing but the records read so far, so whoever has read up to the same offset knows the
same: every featurizer, the auditor, a replay.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec

from shared.errors import Reject
from shared.features.cleaning import reader
from shared.messages.cloudevents import opened
from shared.messages.codec import decode
from shared.messages.streams import REFERENCES
from shared.messages.types import Reference, Unfound
from shared.problem.field_rules import FieldRule
from shared.problem.mistakes import nearest
from shared.problem.scalars import scalar_text
from shared.problem.spec import Problem, ReferenceSpec
from shared.problem.times import microseconds

MAX_KEY = 256
"""Characters of a key, as of an event's."""
_NEVER_US = -(2**62)

Values = list[Any]
"""A finite float or text for each declared field; None is missing."""


class Version(msgspec.Struct, frozen=True, array_like=True):
    """What holds of `key` from `from_us` (microseconds since 1970) on; `values` None: removed."""

    table: str
    key: str
    from_us: int
    values: Values | None


class ReferenceReader:
    """From a reference record to a version. What is refused depends on the record alone."""

    def __init__(self, problem: Problem) -> None:
        self._tables = {
            table: [
                (name, FieldRule(name, field), reader(field))
                for name, field in spec.fields.items()
            ]
            for table, spec in problem.references.items()
        }

    def version(
        self, value: bytes, headers: Mapping[str, bytes] | None, timestamp_ms: int
    ) -> Version | None:
        """The version in a record; None: a tombstone, which says nothing (Kafka's compaction reads it).

        Raises:
            Reject: it cannot be used; `check` is one of decode, cloudevent, reference, key, missing,
                type, range, category, pattern.
        """
        if not value:
            return None
        data, _ = opened(value, headers)
        said: Reference = decode(REFERENCES, data)
        rules = self._tables.get(said.reference)
        if rules is None:
            known = nearest(said.reference, list(self._tables))
            text = f"there is no reference `{said.reference[:60]}` in the problem file; {known}"
            raise Reject(text, "reference", "reference")
        key = scalar_text(said.key)
        if not 0 < len(key) <= MAX_KEY:
            text = f"the key has {len(key)} characters; a reference needs 1 to {MAX_KEY}"
            raise Reject(text, "key", "key")
        from_us = timestamp_ms * 1_000 if said.time is None else microseconds(said.time)
        if said.removed:
            return Version(said.reference, key, from_us, None)
        return Version(said.reference, key, from_us, _values(said.fields, rules))


def _values(
    fields: dict[str, Any], rules: list[tuple[str, FieldRule, Callable[[Any], Any]]]
) -> Values:
    values = []
    for name, rule, read in rules:
        rule.apply(fields)
        value = fields[name]
        values.append(None if value is None else read(value))
    return values


class Found(NamedTuple):
    """What a lookup finds: `values`, else why not."""

    values: Values | None
    why: Unfound | None = None


_MISSING, _TOO_OLD = Found(None, "missing"), Found(None, "too_old")


class _History(msgspec.Struct, array_like=True):
    """Versions of one key, oldest first. `offset`: of its newest record; `cut`: were any let go?"""

    offset: int = -1
    cut: bool = False
    times_us: list[int] = []
    values: list[Values | None] = []


class _Head(msgspec.Struct, array_like=True):
    position: int = 0
    newest_ms: int = _NEVER_US
    forgotten: int = 0


class References:
    """All declared references. Of each at most `max_keys` keys with `keep` versions each."""

    def __init__(self, specs: Mapping[str, ReferenceSpec]) -> None:
        self._specs = specs
        self._tables: dict[str, dict[str, _History]] = {name: {} for name in specs}
        self._head = _Head()
        self._touched: dict[tuple[str, str], None] = {}

    @property
    def position(self) -> int:
        """Up to which offset of the topic records were taken."""
        return self._head.position

    @property
    def forgotten(self) -> int:
        """Keys that were forgotten to make room for others."""
        return self._head.forgotten

    def take(self, version: Version | None, offset: int, timestamp_ms: int) -> None:
        """The record at `offset`, which came at `timestamp_ms`; None: it says nothing."""
        self._head.position = offset + 1
        if version is None:
            return
        self._head.newest_ms = max(self._head.newest_ms, timestamp_ms)
        spec, table = self._specs[version.table], self._tables[version.table]
        history = table.pop(version.key, None) or _History()
        table[version.key] = history  # the newest last: the first is forgotten first
        self._touched[version.table, version.key] = None
        history.offset = offset
        at = bisect_left(history.times_us, version.from_us)
        if history.times_us[at : at + 1] == [version.from_us]:
            history.values[at] = version.values
        else:
            history.times_us.insert(at, version.from_us)
            history.values.insert(at, version.values)
        self._let_go(history, spec)
        if len(table) > spec.max_keys:
            oldest = next(iter(table))
            del table[oldest]
            self._touched[version.table, oldest] = None
            self._head.forgotten += 1

    def find(self, table: str, key: str, time_us: int) -> Found:
        """The version of `key` that held at `time_us`."""
        history = self._tables[table].get(key)
        if history is None:
            return _MISSING
        times_us = history.times_us
        after = bisect_right(times_us, time_us)
        if not after:
            return _TOO_OLD if history.cut else _MISSING
        if after < len(times_us) and times_us[after] <= self._horizon_us(self._specs[table]):
            return _TOO_OLD
        values = history.values[after - 1]
        return _MISSING if values is None else Found(values)

    def become(self, other: "References") -> None:
        """Know what `other` knows now."""
        gone = [(table, key) for table, keys in self._tables.items() for key in keys]
        self._tables = {
            table: {
                key: _History(h.offset, h.cut, [*h.times_us], [*h.values])
                for key, h in keys.items()
            }
            for table, keys in other._tables.items()
        }
        self._head = msgspec.structs.replace(other._head)
        known = [(table, key) for table, keys in self._tables.items() for key in keys]
        self._touched |= dict.fromkeys([*gone, *known])

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """State entries that changed since the last call: a key that was touched is one."""
        if self._specs:
            yield "references", msgspec.msgpack.encode(self._head)
        for table, key in self._touched:
            history = self._tables[table].get(key)
            entry = None if history is None else msgspec.msgpack.encode(history)
            yield f"reference/{table}/{key}", entry
        self._touched.clear()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        if "references" in entries:
            self._head = msgspec.msgpack.decode(entries["references"], type=_Head)
        for name in self._tables:
            mark = f"reference/{name}/"
            found = [
                (entry[len(mark) :], msgspec.msgpack.decode(data, type=_History))
                for entry, data in entries.items()
                if entry.startswith(mark)
            ]
            found.sort(key=lambda item: item[1].offset)
            self._tables[name] = dict(found)

    def _horizon_us(self, spec: ReferenceSpec) -> int:
        if spec.expire is None:
            return _NEVER_US
        return self._head.newest_ms * 1_000 - spec.expire // timedelta(microseconds=1)

    def _let_go(self, history: _History, spec: ReferenceSpec) -> None:
        """Versions beyond the newest `keep`, and those superseded before the horizon."""
        gone = max(0, len(history.times_us) - spec.keep)
        gone = max(gone, bisect_right(history.times_us, self._horizon_us(spec)) - 1)
        if gone:
            history.cut = True
            del history.times_us[:gone], history.values[:gone]
