"""The log on a real Kafka: the suite of `test_log.py` as far as it applies, and what is its own.

Arrival order over streams does not exist there, so those tests of the suite have their own versions.
"""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, kafka, kafka_name
# isort: on

import subprocess
import sys
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from shared.errors import Fatal, Retryable, UsageError
from shared.log.kafka_clients import Clients, Timeouts
from shared.log.kafka_log import KafkaLog
from shared.log.kafka_reader import KafkaReader
from shared.log.kafka_seat import Seat
from shared.log.kafka_topics import Places
from shared.log.port import Append, Log, advanced
from shared.messages.streams import CONTROL, EVENTS, LABELS, OUTCOMES, Stream
from tests.contract.test_log import (
    put,
    some,
    test_an_exception_undoes_all_of_it,
    test_headers_are_kept,
    test_one_transaction_holds_outputs_position_and_state,
    test_trimming_forgets_old_records_and_keeps_offsets,
)
from tests.kit.servers import wait_for

__all__ = [
    "collected",
    "kafka", "kafka_name", "test_an_exception_undoes_all_of_it", "test_headers_are_kept",
    "test_one_transaction_holds_outputs_position_and_state",
    "test_trimming_forgets_old_records_and_keeps_offsets",
]  # fmt: skip

pytestmark = LEAKS
Open = Callable[..., KafkaLog]
QUICK = Timeouts(request_s=1.5, delivery_s=2.5, transaction_s=3, session_s=6, block_s=6)
NONE: frozenset[Stream] = frozenset()


@pytest.fixture
def opened(kafka: str, kafka_name: str) -> Iterator[Open]:
    """Opens logs of one problem; all are closed at the end."""
    logs: list[KafkaLog] = []

    def new(**arguments: Any) -> KafkaLog:
        logs.append(KafkaLog.opened(Clients(kafka, timeouts=QUICK), kafka_name, **arguments))
        return logs[-1]

    yield new
    for log in logs:
        log.close()


@pytest.fixture
def reopen(opened: Open) -> Callable[[], Log]:
    """Opens the log; a second call is the same log after a restart. Every stream is numbered by us."""
    logs: list[KafkaLog] = []

    def again() -> Log:
        while logs:
            logs.pop().close()
        logs.append(opened(foreign=NONE))
        return logs[-1]

    return again


def values(log: KafkaReader, stream: Stream) -> list[bytes]:
    return [record.value for record in log.read([stream], {}, 1_000)]


def test_streams_are_read_in_their_order_whatever_the_limit(opened: Open) -> None:
    log = opened(foreign=NONE)
    put(log, "a", *some(EVENTS, b"1", b"2"), *some(CONTROL, b"3"))
    put(log, "a", *some(EVENTS, b"4"), *some(LABELS, b"5", b"6"))
    whole = log.read([EVENTS, LABELS, CONTROL], {}, 99)
    assert [(r.stream, r.offset, r.value) for r in whole if r.stream is EVENTS] == [
        (EVENTS, 0, b"1"), (EVENTS, 1, b"2"), (EVENTS, 2, b"4"),
    ]  # fmt: skip
    assert len(whole) == 6 and [r.seq for r in whole] == [1, 2, 3, 4, 5, 6]
    for limit in (1, 2, 5):
        pieces, position = [], {}
        while records := log.read([EVENTS, LABELS, CONTROL], position, limit):
            pieces += records
            position = advanced(position, records)
        assert pieces == whole


def test_any_position_is_found_again(opened: Open) -> None:
    log = opened(foreign=NONE)
    for i in range(12):
        put(log, "a", *(Append(OUTCOMES, b"%d.%d" % (i, j)) for j in range(i % 4)))
    everything = log.read([OUTCOMES], {}, 99)
    assert [r.offset for r in everything] == list(range(18)) and log.end(OUTCOMES) == 18
    for start in (17, 3, 18, 0, 11, 4):
        assert log.read([OUTCOMES], {"outcomes": start}, 99) == everything[start:]


def test_what_others_write_keeps_their_offsets_and_is_never_skipped(
    opened: Open, kafka: str, kafka_name: str
) -> None:
    log = opened()
    outside = KafkaProducer(bootstrap_servers=kafka, transactional_id=f"{kafka_name}-outside")
    outside.init_transactions()
    for i in range(3):  # each transaction leaves a marker, the second is aborted
        outside.begin_transaction()
        for j in range(2):
            outside.send(f"{kafka_name}.events", b"%d.%d" % (i, j), headers=[("ce_id", b"7")])
        outside.flush()
        (outside.abort_transaction if i == 1 else outside.commit_transaction)()
    records = log.read([EVENTS], {}, 99)
    assert [r.value for r in records] == [b"0.0", b"0.1", b"2.0", b"2.1"]
    assert [r.offset for r in records] == [0, 1, 6, 7] and records[0].headers == {"ce_id": b"7"}
    assert [r.seq for r in records] == [1, 2, 7, 8]
    assert [r.value for r in log.read([EVENTS], {"events": 2}, 1)] == [b"2.0"]
    plain = KafkaProducer(bootstrap_servers=kafka)
    plain.send(f"{kafka_name}.outcomes", b"not ours").get(5)
    with pytest.raises(Fatal, match=r"outcomes:0 at 0: a record without the header 'n'"):
        log.read([OUTCOMES], {}, 1)
    for producer in (outside, plain):
        producer.close()


def test_lag_reaches_zero_although_markers_take_offsets(
    opened: Open, kafka: str, kafka_name: str
) -> None:
    log = opened()
    put(log, "source", *some(EVENTS, b"1", b"2"))
    put(log, "source", *some(EVENTS, b"3"))
    records = log.read([EVENTS], {}, 2)
    with log.begin("g") as transaction:
        transaction.advance(advanced({}, records))
    events = TopicPartition(f"{kafka_name}.events", 0)
    consumer = KafkaConsumer(
        bootstrap_servers=kafka, group_id=f"{kafka_name}.g", isolation_level="read_committed"
    )
    assert consumer.committed(events) == 3  # 2 is the marker; the next record is at 3
    records = log.read([EVENTS], log.position("g"), 9)
    with log.begin("g") as transaction:
        transaction.advance(advanced({}, records))
    assert log.position("g") == {"events": 4}
    assert consumer.committed(events) == consumer.end_offsets([events])[events] == 5
    outside = KafkaProducer(bootstrap_servers=kafka, transactional_id=f"{kafka_name}-outside")
    outside.init_transactions()
    outside.begin_transaction()
    outside.send(f"{kafka_name}.events", b"aborted").get(5)
    outside.abort_transaction()

    def idle() -> bool:
        assert log.read([EVENTS], log.position("g"), 9) == []
        return bool(consumer.committed(events) == consumer.end_offsets([events])[events] == 7)

    wait_for(idle, 5, "the offset past the marker of what was aborted")
    assert log.position("g") == {"events": 4}
    outside.close()
    consumer.close()


def test_a_replay_sees_the_order_of_the_first_time(opened: Open) -> None:
    log = opened(foreign=NONE)
    first: list[Any] = []

    def turn() -> None:
        position = log.position("g")
        records = log.read([EVENTS, LABELS], position, 4)
        with log.begin("g") as transaction:
            transaction.advance(advanced(position, records))
        first.extend(records)

    with log.begin("g") as transaction:
        transaction.save([("s", b"0")], {})
    put(log, "in", *(Append(EVENTS, b"e%d" % i, timestamp_ms=10 + i) for i in range(3)))
    turn()
    put(log, "in", *(Append(LABELS, b"l%d" % i, timestamp_ms=i) for i in range(6)))
    put(log, "in", Append(EVENTS, b"e3", timestamp_ms=0))
    turn()
    turn()
    put(log, "in", Append(LABELS, b"late", timestamp_ms=0))
    assert [r.value for r in first][:4] == [
        b"e0",
        b"e1",
        b"e2",
        b"l0",
    ]  # l0 is older, and came late
    log.close()
    log = opened(foreign=NONE)
    for limit in (1, 3, 99):
        position, replayed = dict(log.checkpoint("g").position), []
        for _ in range(20):
            records = log.read([EVENTS, LABELS], position, limit)
            position = advanced(position, records)
            replayed += records
            if position == log.position("g"):
                break
        assert replayed == first
    assert [r.value for r in log.read([EVENTS, LABELS], position, 9)] == [b"late"]


def test_a_position_outside_of_the_streams_is_kept(opened: Open) -> None:
    log = opened()
    for at in (3, 5):
        with log.begin("source") as transaction:
            transaction.append(some(EVENTS, b"x"))
            transaction.advance({"source": at})
    log.close()
    assert opened().position("source") == {"source": 5}


@pytest.mark.slow
def test_a_second_instance_stands_by_until_the_first_is_gone(
    opened: Open, kafka: str, kafka_name: str
) -> None:
    first = opened(instance="0")
    seat = Seat(Clients(kafka, timeouts=QUICK), kafka_name, "run", "1")
    second = KafkaLog.of_worker(seat, None)
    put(first, "source", *some(EVENTS, b"1"))
    assert first.position("g") == {}
    with first.begin("g") as transaction:
        transaction.append(some(OUTCOMES, b"o"))
        transaction.advance({"events": 1})
    over = Event()
    working = Thread(target=lambda: [first.position("g") for _ in iter(over.is_set, True)])
    working.start()  # a member that does not turn up keeps the group from being arranged
    with pytest.raises(Retryable, match="in the hands of another instance; this one stands by"):
        second.position("g")
    over.set()
    working.join()
    first._seat.member("g")._consumer.close()
    wait_for(lambda: _position(second) == {"events": 1}, 20, "the second instance to take over")
    with second.begin("g") as transaction:
        transaction.append(some(OUTCOMES, b"p"))
        transaction.advance({"events": 2})
    assert [(r.offset, r.value) for r in second.read([OUTCOMES], {}, 9)] == [(0, b"o"), (1, b"p")]
    second.close()
    seat.close()


def _position(log: Log) -> Any:
    try:
        return log.position("g")
    except Retryable:
        return None


def test_a_reader_sees_what_is_committed_while_it_is_written(
    opened: Open, kafka: str, kafka_name: str
) -> None:
    log = opened()
    put(log, "a", *some(OUTCOMES, b"1", b"2"))
    reader = KafkaReader(Clients(kafka, timeouts=QUICK), Places(kafka_name))
    with log.begin("a") as transaction:
        transaction.append(some(OUTCOMES, b"3"))
        assert values(reader, OUTCOMES) == [b"1", b"2"] and reader.end(OUTCOMES) == 2
    wait_for(lambda: reader.end(OUTCOMES) == 3, 5, "the third record")
    assert values(reader, OUTCOMES) == [b"1", b"2", b"3"]
    reader.close()


def test_a_record_that_is_too_large_is_said_clearly_and_nothing_of_it_stays(opened: Open) -> None:
    log = opened()
    with pytest.raises(Fatal, match=r"One record is larger than the topic takes: raise"):
        put(log, "a", *some(OUTCOMES, b"small", b"x" * 2_000_000))
    put(log, "a", *some(OUTCOMES, b"next"))
    assert [(r.offset, r.value) for r in log.read([OUTCOMES], {}, 9)] == [(0, b"next")]


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown Kafka settings \['sasl_password'\]; there are"):
        Clients("localhost:9092", {"sasl_password": "x"})
    with pytest.raises(UsageError, match="write true or false"):
        Clients("localhost:9092", {"ssl_check_hostname": "maybe"})
    with pytest.raises(UsageError, match="request < delivery < transaction"):
        Timeouts(delivery_s=60)


def test_a_broker_that_is_not_there_is_named() -> None:
    code = (
        "from shared.log.kafka_clients import Clients, Timeouts\n"
        "from shared.log.kafka_log import KafkaLog\n"
        "quick = Timeouts(0.2, 0.3, 0.4, session_s=6, block_s=0.5)\n"
        "KafkaLog.opened(Clients('127.0.0.1:1', timeouts=quick), 'nowhere')"
    )  # in a process of its own: a client that never got through leaks its sockets and its thread
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    assert child.returncode == 1
    assert "Retryable: Kafka, 127.0.0.1:1: looking after topics: KafkaTimeoutError" in child.stderr
