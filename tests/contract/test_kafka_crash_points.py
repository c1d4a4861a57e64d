"""The runner over a real Kafka: what it writes equals what it writes over memory, whatever fails.

The oracle is the run over the log in memory, to the byte. The scenario is that of
`tests/chaos/test_runner_crash_points.py`.
"""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, kafka, kafka_name
# isort: on

import os
from collections.abc import Callable
from contextlib import suppress

import pytest

from shared.errors import Retryable
from shared.log.kafka_clients import Clients, Timeouts
from shared.log.kafka_log import KafkaLog
from shared.log.memory import MemoryLog
from shared.log.port import Append, Log
from tests.chaos.test_runner_crash_points import ITEMS, contents, drive, drive_on
from tests.kit.crashing import Crash, CrashingLog

__all__ = ["collected", "kafka", "kafka_name"]
pytestmark = [pytest.mark.slow, *LEAKS]
QUICK = Timeouts(request_s=1.5, delivery_s=2.5, transaction_s=3, session_s=6, block_s=6)
Fails = Callable[[Log, int], None]


def fill(log: Log) -> None:
    """The scenario's input; record times stand for the arrival order that Kafka does not keep."""
    with log.begin("source") as transaction:
        transaction.append(
            Append(stream, value, timestamp_ms=at) for at, (stream, value) in enumerate(ITEMS)
        )


def expected() -> tuple[list[tuple[str, int, bytes]], int]:
    """What must be on the log, and how often it is touched until then."""
    log = MemoryLog()
    fill(log)
    counting = CrashingLog(log)
    drive(counting)
    return contents(log), counting.touches


def by_dying(log: Log, at: int) -> None:
    with suppress(Crash):
        drive(CrashingLog(log, at))


def by_going_on(log: Log, at: int) -> None:
    drive_on(CrashingLog(log, at, Retryable))


def survives(kafka: str, name: str, fails: Fails, at: int) -> None:
    clients = Clients(kafka, timeouts=QUICK)
    first = KafkaLog.opened(clients, name)
    fill(first)
    fails(first, at)
    second = KafkaLog.opened(clients, name)  # a restart; the first one was never told to close
    drive(second)
    try:
        assert contents(second) == expected()[0], f"touch {at}"
    finally:
        second.close()
        first.close()


@pytest.mark.parametrize("fails", [by_dying, by_going_on])
@pytest.mark.parametrize("at", [0, 23, 24, 41])
def test_some_crash_points(kafka: str, kafka_name: str, fails: Fails, at: int) -> None:
    survives(kafka, kafka_name, fails, at)


@pytest.mark.skipif(
    "HEADRACE_TEST_EVERY" not in os.environ, reason="HEADRACE_TEST_EVERY: 6 to 9 minutes"
)
@pytest.mark.parametrize("fails", [by_dying, by_going_on])
def test_every_crash_point(kafka: str, kafka_name: str, fails: Fails) -> None:
    for at in range(1, expected()[1] + 1):
        survives(kafka, f"{kafka_name}-{at}", fails, at)
