"""Crash points of the runner, enumerated: fail at every touch of the log, die and go on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from shared.errors import Retryable
from shared.log.memory import MemoryLog
from shared.log.port import Append, Log
from shared.log.sqlite import SqliteLog
from shared.messages.streams import (
    CONTROL,
    EVENTS,
    MODELS,
    OUTCOMES,
    PREDICTIONS,
    REJECTED,
    Stream,
)
from shared.runtime.fuse import Fused
from shared.runtime.runner import Runner
from tests.kit.crashing import Crash, CrashingLog
from tests.kit.toy import control, event, label, toy_problem, toy_services

FRESHNESS = 3
ITEMS: list[tuple[Stream, bytes]] = [
    event(0), event(1), label(1, 5), label(0, 2), label(3, 1), event(2), event(3), control("c"),
    event(4), label(2, 4), label(4, 8), event(5), event(6), label(6, 1), event(7), label(5, 3),
]  # fmt: skip
POISON: list[tuple[Stream, bytes]] = [
    *ITEMS[:9], (EVENTS, b"no number"), label(4, 8), (CONTROL, b"{no message"), event(5), label(6, 1),
    event(6), label(1, 3),
]  # fmt: skip
"""The event is bytes that a stage fails on, the control record not even a message."""


def make() -> Fused:
    return Fused(toy_services(FRESHNESS), toy_problem(FRESHNESS), tools=None)  # type: ignore[arg-type]


def fill(log: Log, items: Sequence[tuple[Stream, bytes]] = ITEMS) -> None:
    with log.begin("source") as transaction:
        transaction.append(Append(stream, value) for stream, value in items)


def contents(log: Log) -> list[tuple[str, int, bytes]]:
    streams = (PREDICTIONS, OUTCOMES, MODELS, CONTROL, REJECTED)
    return [(str(s), r.offset, r.value) for s in streams for r in log.read([s], {}, 1_000)]


def drive(log: Log, factory: Callable[[], Fused] = make) -> None:
    runner = Runner(log, "g", factory, batch_size=2, checkpoint_every=5)
    while runner.step():
        pass
    runner.checkpoint()


def drive_on(log: Log) -> None:
    """The same runner goes on after a retryable error."""
    runner = Runner(log, "g", make, batch_size=2, checkpoint_every=5)
    for _ in range(100):
        try:
            while runner.step():
                pass
            runner.checkpoint()
            return
        except Retryable:
            continue
    raise AssertionError("never finished")


@pytest.fixture(params=["memory", "sqlite"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Log]:
    made: list[Log] = []

    def new() -> Log:
        if request.param == "memory":
            return MemoryLog()
        made.append(SqliteLog(tmp_path / f"{len(made)}.db", durable=False))
        return made[-1]

    request.addfinalizer(lambda: [log.close() for log in made])
    return new


def undisturbed(
    fresh: Callable[[], Log], items: Sequence[tuple[Stream, bytes]]
) -> tuple[Sequence[tuple[str, int, bytes]], int]:
    log = fresh()
    fill(log, items)
    counting = CrashingLog(log)
    drive(counting)
    return contents(log), counting.touches


@pytest.mark.parametrize("items", [ITEMS, POISON], ids=["good", "poison"])
def test_dying_at_every_touch_changes_nothing(
    fresh: Callable[[], Log], items: Sequence[tuple[Stream, bytes]]
) -> None:
    expected, touches = undisturbed(fresh, items)
    assert touches > 40
    for at in range(1, touches + 1):
        log = fresh()
        fill(log, items)
        with pytest.raises(Crash):
            drive(CrashingLog(log, at))
        drive(log)
        assert contents(log) == expected, f"dying at touch {at}"


@pytest.mark.parametrize("items", [ITEMS, POISON], ids=["good", "poison"])
def test_going_on_after_every_touch_changes_nothing(
    fresh: Callable[[], Log], items: Sequence[tuple[Stream, bytes]]
) -> None:
    expected, touches = undisturbed(fresh, items)
    for at in range(1, touches + 1):
        log = fresh()
        fill(log, items)
        drive_on(CrashingLog(log, at, Retryable))
        assert contents(log) == expected, f"going on after touch {at}"


def test_a_stage_that_is_not_deterministic_is_found_on_replay() -> None:
    log = MemoryLog()
    fill(log)
    runner = Runner(log, "g", make, batch_size=4, checkpoint_every=1_000)
    while runner.step():
        pass

    class Doubling(Fused):
        def _run(self, index: int, inbox: list[list[object]], produced: list[object]) -> None:  # type: ignore[override]
            if index == 1:
                inbox[1] = inbox[1] * 2
            super()._run(index, inbox, produced)  # type: ignore[arg-type]

    def doubling() -> Fused:
        return Doubling(toy_services(FRESHNESS), toy_problem(FRESHNESS), tools=None)  # type: ignore[arg-type]

    with pytest.raises(Exception, match="not deterministic"):
        Runner(log, "g", doubling).step()
