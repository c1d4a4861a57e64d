"""The references that were read, for folds that each stand at a place of their own among them.

A prediction says up to which offset its featurizer had read; the auditor has usually read further.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress

import msgspec

from shared.errors import Reject
from shared.features.references import ReferenceReader, References, Version
from shared.problem.spec import Problem
from shared.stage import Record
from shared.table import Table

MOST = 20_000
"""References that are kept one by one."""
_BASE = "base/"


class _Fact(msgspec.Struct, array_like=True):
    offset: int
    timestamp_ms: int
    version: Version | None


class Facts:
    """The newest `MOST` references one by one, all before them as one base from which a fold begins."""

    def __init__(self, problem: Problem) -> None:
        self._reader = ReferenceReader(problem)
        self._base = References(problem.references)
        self._newest: Table[_Fact] = Table("fact", MOST, _Fact)
        self.position = 0
        """Up to which offset references were read."""

    def came(self, record: Record) -> None:
        """A record of the topic; one that cannot be used says nothing to anybody."""
        version = None
        with suppress(Reject):
            version = self._reader.version(record.value, record.headers, record.timestamp_ms)
        self.position = record.offset + 1
        fact = _Fact(record.offset, record.timestamp_ms, version)
        forgotten = self._newest.put(str(record.offset), fact)
        if forgotten is not None:
            _take(self._base, forgotten)

    def begin(self, references: References) -> None:
        """A fold begins: with what nobody needs one by one any more."""
        references.become(self._base)

    def move(self, references: References, position: int) -> bool:
        """Take into `references` what was read up to `position`; False: it is further already, or
        what it needs is not there one by one any more.
        """
        if references.position < position:
            if references.position < self._base.position:
                references.become(self._base)
            for _, fact in self._newest.items():
                if references.position <= fact.offset < position:
                    _take(references, fact)
        return references.position <= position

    def let_go(self, position: int) -> None:
        """Every fold has come to `position`."""
        while (oldest := self._newest.oldest()) is not None and oldest[1].offset < position:
            self._newest.pop(oldest[0])
            _take(self._base, oldest[1])

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """State entries changed since the last call."""
        yield "facts", msgspec.msgpack.encode(self.position)
        yield from self._newest.changes()
        yield from ((_BASE + name, value) for name, value in self._base.changes())

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        if "facts" in entries:
            self.position = msgspec.msgpack.decode(entries["facts"], type=int)
        self._newest.restore(entries)
        own = {k.removeprefix(_BASE): v for k, v in entries.items() if k.startswith(_BASE)}
        self._base.restore(own)


def _take(references: References, fact: _Fact) -> None:
    references.take(fact.version, fact.offset, fact.timestamp_ms)
