"""Crash points of the whole system, enumerated: every service, a job, a shadow, garbage between.

The log is touched N times in an undisturbed run; then the run is made N times, failing at touch k, once
by dying and starting anew, once by letting the same runner go on. The streams must be equal each time.
"""

from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import msgspec
import pytest

from services.console.core import Board
from services.featurizer.core import Featurizer
from shared.blobs.memory import MemoryBlobs
from shared.errors import Retryable
from shared.log.memory import MemoryLog
from shared.log.port import Append, Log
from shared.messages.codec import decode
from shared.messages.streams import (
    EVENTS,
    JOBS,
    MODELS,
    OUTCOMES,
    PREDICTIONS,
    RAW,
    REJECTED,
    Stream,
)
from shared.problem.spec import OnVolume, Problem
from shared.stage import Out, Record
from tests.kit.crashing import Crash, CrashingLog
from tests.kit.promoting import Whole, stages
from tests.kit.recorded import filled, short_problem

pytestmark = pytest.mark.slow
ROWS = 260


@cache
def scenario() -> Problem:
    """Small, with a job whose shadow scores before the end."""
    problem = short_problem(freshness=4)
    spec = problem.retraining.model_copy(
        update={
            "triggers": [OnVolume(on="volume", outcomes=90)],
            "minimum": 80,
            "effect_after": 20,
        }
    )
    experts = ["softmax", "counts"]
    model = problem.model.model_copy(update={"experts": experts, "snapshot_every": 60})
    return problem.model_copy(update={"retraining": spec, "model": model})


class Fragile(Featurizer):
    """Fails on one event."""

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        if any(record.value.id == "poison" for record in records):
            raise ZeroDivisionError("this one")
        yield from super().handle(records)


class System(Whole):
    """The scenario; `fragile`: with a featurizer that fails on one event."""

    def __init__(self, log: Log, blobs: MemoryBlobs, fragile: bool = False) -> None:
        services = stages()
        if fragile:
            broken = {"build": lambda problem, tools: Fragile(problem)}
            services = [replace(s, **broken) if s.name == "featurizer" else s for s in services]
        super().__init__(log, blobs, scenario(), services)

    def drive_on(self) -> None:
        for _ in range(50):
            try:
                return self.drive()
            except Retryable:
                continue
        raise AssertionError("never finished")


def contents(log: Log) -> dict[str, list[bytes]]:
    """Every stream as it stands; inputs and all."""
    return {str(s): [_bytes(s, r.value) for r in log.read([s], {}, 100_000)] for s in Stream}


def _bytes(stream: Stream, data: bytes) -> bytes:
    return data if stream in RAW else msgspec.json.encode(decode(stream, data))


@pytest.fixture(scope="module")
def undisturbed() -> tuple[dict[str, list[bytes]], int]:
    log = filled(scenario(), ROWS)
    counting = CrashingLog(log)
    System(counting, MemoryBlobs()).drive()
    found = contents(log)
    assert len(found[OUTCOMES]) > 100
    assert any(b'"accepted"' in row for row in found[JOBS])
    assert any(b'"shadow"' in row for row in found[MODELS])
    return found, counting.touches


def _points(touches: int) -> Iterator[int]:
    return iter(range(1, touches + 1))


def test_dying_anywhere_and_starting_anew_changes_nothing(
    undisturbed: tuple[dict[str, list[bytes]], int],
) -> None:
    expected, touches = undisturbed
    assert touches > 30
    for at in _points(touches):
        log: MemoryLog = filled(scenario(), ROWS)
        blobs = MemoryBlobs()
        with pytest.raises(Crash):
            System(CrashingLog(log, at), blobs).drive()
        System(log, blobs).drive()
        assert contents(log) == expected, f"dying at touch {at}"


def test_failing_anywhere_and_going_on_changes_nothing(
    undisturbed: tuple[dict[str, list[bytes]], int],
) -> None:
    expected, touches = undisturbed
    for at in _points(touches):
        log = filled(scenario(), ROWS)
        System(CrashingLog(log, at, Retryable), MemoryBlobs()).drive_on()
        assert contents(log) == expected, f"going on after touch {at}"


def test_a_record_that_breaks_a_stage_costs_that_record_alone(
    undisturbed: tuple[dict[str, list[bytes]], int],
) -> None:
    """It stands in the middle of the stream, and is a good event to the validator."""
    expected, _ = undisturbed
    whole, log, poison = filled(scenario(), ROWS), MemoryLog(), b""
    records = whole.read(tuple(Stream), {}, 100_000)
    with log.begin("source") as transaction:
        for n, r in enumerate(records):
            transaction.append([Append(r.stream, r.value, r.key, r.timestamp_ms)])
            if n >= len(records) // 2 and not poison and b"nsw-" in r.value[:20]:
                poison = msgspec.json.encode(msgspec.json.decode(r.value) | {"id": "poison"})
                transaction.append([Append(EVENTS, poison, r.key, r.timestamp_ms)])
    system = System(log, MemoryBlobs(), fragile=True)
    system.drive()
    found = contents(log)
    refused = [r for r in map(msgspec.json.decode, found[REJECTED]) if r["check"] == "poison"]
    assert [b64decode(r["raw"]) for r in refused] == [poison]
    assert "featurizer failed on it: ZeroDivisionError: this one" in refused[0]["reason"]
    for stream in (PREDICTIONS, OUTCOMES, MODELS, JOBS):
        assert found[stream] == expected[stream], stream
    board = system.runner.fused.stage("console")
    assert isinstance(board, Board)
    counted = board.summary()["rejected_by"]
    assert [count for kind, count in counted.items() if "poison" in kind] == [1]
