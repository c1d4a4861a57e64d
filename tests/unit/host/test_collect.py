"""What a source gave is on the log once, also where a commit fails or its answer gets lost."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.collector.replay import Arrival
from services.host import Host
from shared.errors import Retryable
from shared.log.memory import MemoryLog
from shared.log.passing import PassingLog
from shared.log.port import Transaction
from shared.messages.streams import EVENTS
from shared.settings import Settings
from tests.kit.serving import small_problem

COUNT, LIMIT = 20, 3


class Source:
    """Twenty arrivals."""

    def __init__(self) -> None:
        self._left = [
            Arrival(EVENTS, None, b"%d" % n, datetime(2026, 1, 1, tzinfo=UTC))
            for n in range(COUNT)
        ]

    def skip(self, count: int) -> None:
        del self._left[:count]

    def next(self, limit: int) -> list[Arrival] | None:
        taken, self._left = self._left[:limit], self._left[limit:]
        return taken or None


class Failing(PassingLog):
    """The `at`-th transaction fails: before it takes effect, or after (its answer is lost)."""

    def __init__(self, log: MemoryLog, at: int, after: bool) -> None:
        super().__init__(log)
        self._at, self._after, self._count = at, after, 0

    @contextmanager
    def begin(self, group: str, waits: bool = True) -> Iterator[Transaction]:
        self._count += 1
        fails = self._count == self._at
        if fails and not self._after:
            raise Retryable("no broker")
        with super().begin(group, waits) as transaction:
            yield transaction
        if fails:
            raise Retryable("no answer")


class Bare(Host):
    """Nothing but its way in."""

    def _outcomes(self, start: int, end: int) -> Sequence[bytes]:
        return []


def take_all(host: Any, log: Any, source: Source) -> None:
    while True:
        try:
            if not host._collect(log, source, LIMIT):
                return
        except Retryable:
            continue


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 8))
def test_a_failed_commit_loses_and_doubles_nothing(tmp_path: Path, at: int, after: bool) -> None:
    log = MemoryLog()
    host: Any = Bare(small_problem(), tmp_path, Settings())
    source: Any = Source()
    failing = Failing(log, at, after)
    host._resume(failing, source)
    take_all(host, failing, source)
    host.training.close()
    assert [r.value for r in log.read([EVENTS], {}, 100)] == [b"%d" % n for n in range(COUNT)]
    assert log.position("source") == {"source": COUNT}
