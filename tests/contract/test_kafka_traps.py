"""Traps of kafka-python 3.0.12: each shown to snap on the bare client, and not under the guard.

When a test of the first kind goes red, the client was mended: its rule can be reconsidered.
"""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, kafka, kafka_name
# isort: on

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, errors
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from shared.errors import Fenced, Retryable
from shared.log import kafka_guard
from shared.log.kafka_clients import Clients, Timeouts, drop
from shared.log.kafka_guard import Guard, Offsets, Watchdog
from shared.log.kafka_log import KafkaLog
from shared.log.port import Append, advanced
from shared.messages.streams import EVENTS, LABELS, OUTCOMES
from tests.kit.kafka_bench import QUICK, Bench
from tests.kit.kafka_proxy import ADD_OFFSETS, END_TXN, PRODUCE, Proxy
from tests.kit.servers import wait_for

__all__ = ["collected", "kafka", "kafka_name"]
pytestmark = [pytest.mark.slow, *LEAKS]
SLOW = Timeouts(request_s=6, delivery_s=8, transaction_s=9, session_s=6, block_s=10)
NOBODY = ConsumerGroupMetadata("group", 99, "nobody", None)


@pytest.fixture
def bench(kafka: str, kafka_name: str) -> Iterator[Bench]:
    made = Bench(kafka, kafka_name)
    yield made
    made.close()


def fill(bench: Bench) -> None:
    producer = KafkaProducer(bootstrap_servers=bench.address)
    for i in range(3):
        producer.send(bench.ins[0].topic, b"%d" % i)
    producer.close()


def turn(log: KafkaLog, waits: bool = True) -> None:
    """Relay what is there, as the runner would: the position is asked anew each time."""
    position = log.position("g")
    records = log.read([EVENTS], position, 10)
    with log.begin("g", waits) as transaction:
        transaction.append(Append(OUTCOMES, b"out " + record.value) for record in records)
        transaction.advance(advanced(position, records))


def again(call: Callable[[], Any]) -> Any:
    """As the runner does: once more after a pause, while the outside does not answer."""
    for _ in range(20):
        try:
            return call()
        except Retryable as error:
            last = error
            time.sleep(0.2)
    raise AssertionError("never went through") from last


DONE = [b"out 0", b"out 1", b"out 2"]


def relayed(bench: Bench, log: KafkaLog) -> bool:
    """Everything exactly once, and the position with it."""
    return bench.values() == DONE and log.position("g") == {"events": 3}


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[BaseException]]:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001  handed to the test
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, raised


# 1: a record that was given up is lost, and the commit succeeds all the same.


def test_bare_client_commits_a_transaction_that_has_lost_a_record(bench: Bench) -> None:
    producer = bench.bare("one", bench.proxy)
    producer.begin_transaction()
    producer.send(bench.out.topic, b"kept").get(5)
    bench.proxy.swallowed = {PRODUCE}
    with pytest.raises(errors.KafkaTimeoutError):
        producer.send(bench.out.topic, b"lost").get(5)
    bench.proxy.cut()
    bench.proxy.heal()
    time.sleep(0.3)
    producer.send_offsets_to_transaction(
        {bench.ins[0]: OffsetAndMetadata(2)}, ConsumerGroupMetadata(f"{bench.name}.one")
    )
    producer.commit_transaction()
    assert bench.values() == [b"kept"] and bench.committed(f"{bench.name}.one")[0] == 2


def test_guard_loses_nothing_when_sends_are_given_up(bench: Bench) -> None:
    fill(bench)
    log = bench.log()
    bench.proxy.swallowed = {PRODUCE}
    with pytest.raises(Retryable, match="KafkaTimeoutError"):
        turn(log)
    assert bench.values() == []
    bench.proxy.heal()
    assert log.position("g") == {}
    turn(log)
    assert relayed(bench, log)


# 2: the commit of a transaction that the broker has aborted returns as if it were well.


def test_bare_client_reports_a_commit_that_the_broker_has_aborted(bench: Bench) -> None:
    producer = bench.bare("two")
    producer.begin_transaction()
    producer.send(bench.out.topic, b"a").get(5)
    time.sleep(3.5)  # longer than the transaction may take
    producer.send(bench.out.topic, b"b")
    producer.commit_transaction()
    assert bench.values() == []


def test_guard_does_not_believe_in_a_commit_after_a_long_pause(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bench)
    log = bench.log()
    turn(log)
    put_more = KafkaProducer(bootstrap_servers=bench.address)
    put_more.send(bench.ins[0].topic, b"3").get(5)
    arrived = kafka_guard._last_offsets

    def paused(futures: Any) -> Any:
        time.sleep(3.2)
        return arrived(futures)

    with monkeypatch.context() as patched:
        patched.setattr(kafka_guard, "_last_offsets", paused)
        with pytest.raises(Retryable, match="took too long"):
            turn(log)
    assert bench.values() == DONE
    turn(log)
    assert bench.values() == [*DONE, b"out 3"] and log.position("g") == {"events": 4}
    put_more.close()


# 3: offsets of an aborted transaction are committed by the next one.


def test_bare_client_carries_offsets_into_the_next_transaction(bench: Bench) -> None:
    producer, first, second = bench.bare("three"), *bench.ins
    group = f"{bench.name}.three"
    producer.begin_transaction()
    with pytest.raises(errors.CommitFailedError):
        producer.send_offsets_to_transaction(
            {first: OffsetAndMetadata(100), second: OffsetAndMetadata(200)},
            NOBODY._replace(group_id=group),
        )
    producer.abort_transaction()
    producer.begin_transaction()
    producer.send_offsets_to_transaction(
        {first: OffsetAndMetadata(10)}, ConsumerGroupMetadata(group)
    )
    producer.commit_transaction()
    assert bench.committed(group) == [10, 200]


def test_guard_commits_only_the_offsets_of_this_transaction(bench: Bench) -> None:
    first, second = bench.ins
    group = f"{bench.name}.three"
    guard = Guard(Clients(bench.address, timeouts=QUICK), f"{bench.name}.three")
    guard.open()
    with pytest.raises(Retryable, match="CommitFailedError"):
        guard.outcome(
            guard.start([], Offsets({first: 100, second: 200}, NOBODY._replace(group_id=group)))
        )
    assert not guard.is_open
    guard.open()
    guard.outcome(guard.start([], Offsets({first: 10}, ConsumerGroupMetadata(group))))
    assert bench.committed(group) == [10, None]
    guard.close()


# 4: a commit waits for ever, also when the broker is back.


def test_bare_client_waits_for_ever(bench: Bench) -> None:
    producer = bench.bare("four", bench.proxy)
    producer.begin_transaction()
    producer.send(bench.out.topic, b"a").get(5)
    bench.proxy.swallowed = {PRODUCE}
    producer.send(bench.out.topic, b"b")
    wait_for(lambda: bench.proxy.seen.count(PRODUCE) == 2, 5, "the second record")
    bench.proxy.cut()
    thread, _ = in_thread(producer.commit_transaction)
    time.sleep(3)
    bench.proxy.heal()
    thread.join(5)
    assert thread.is_alive()


@pytest.mark.parametrize("kind", [END_TXN, ADD_OFFSETS])
def test_guard_gives_up_waiting_and_goes_on(bench: Bench, kind: int) -> None:
    fill(bench)
    log = bench.log()
    log.position("g")
    bench.proxy.hold(kind)
    thread, raised = in_thread(lambda: turn(log))
    wait_for(lambda: kind in bench.proxy.seen, 5, "the request")
    bench.proxy.cut()
    thread.join(8)
    assert not thread.is_alive() and isinstance(raised[0], Retryable)
    bench.proxy.heal()
    if again(lambda: log.position("g")) == {}:
        again(lambda: turn(log))
    assert relayed(bench, log)


def test_watchdog_barks_at_a_turn_that_is_stuck_and_only_then() -> None:
    barked = threading.Event()
    dog = Watchdog(0.2, barked.set)
    for _ in range(20):
        with dog.watching():
            time.sleep(0.03)
    assert not barked.is_set()
    with dog.watching():
        assert barked.wait(5)
    dog.stop()


# 5: a producer that was fenced aborts the transaction of its successor.


def test_bare_client_disturbs_its_successor(bench: Bench) -> None:
    zombie = bench.bare("five")
    zombie.begin_transaction()
    zombie.send(bench.out.topic, b"z").get(5)
    owner = bench.bare("five")
    owner.begin_transaction()
    owner.send(bench.out.topic, b"o").get(5)
    with pytest.raises(errors.KafkaError):
        zombie.send(bench.out.topic, b"z").get(5)
    time.sleep(0.5)
    with pytest.raises(errors.ProducerFencedError):
        owner.commit_transaction()


def test_guard_ends_when_fenced_and_its_successor_goes_on(bench: Bench) -> None:
    fill(bench)
    zombie, proxy = bench.log(SLOW), Proxy()
    bench.proxy.hold(PRODUCE)
    asleep, raised = in_thread(lambda: turn(zombie))
    wait_for(lambda: PRODUCE in bench.proxy.seen, 5, "the zombie's record")
    owner = bench.log(SLOW, proxy)
    owner.position("g")
    proxy.hold(END_TXN)
    busy, failed = in_thread(lambda: turn(owner))
    wait_for(lambda: END_TXN in proxy.seen, 5, "the owner's commit")
    bench.proxy.release()
    asleep.join(8)
    assert isinstance(raised[0], Fenced) and raised[0].exit_code == 4
    with pytest.raises(Fenced):
        turn(zombie)
    proxy.release()
    busy.join(8)
    assert not failed and relayed(bench, owner)
    proxy.close()


# 6 and 7, met on the way: throwing a producer away, and an answer that gets lost.


def test_bare_client_cannot_be_closed_while_records_are_under_way(bench: Bench) -> None:
    producer = bench.bare("six", bench.proxy)
    bench.proxy.swallowed = {PRODUCE}
    producer.begin_transaction()
    future = producer.send(bench.out.topic, b"a")
    with pytest.raises(errors.KafkaTimeoutError):
        producer.close(timeout=0)
    assert producer._sender.is_alive() and not producer._closed
    drop(producer)
    assert producer._closed and future.failed()
    producer._sender.join(5)
    assert not producer._sender.is_alive()


def test_guard_finds_out_what_became_of_a_commit_without_an_answer(bench: Bench) -> None:
    fill(bench)
    log = bench.log()
    log.position("g")
    bench.proxy.deaf = {END_TXN}
    with pytest.raises(Retryable):
        turn(log)
    bench.proxy.heal()
    assert relayed(bench, log)


def test_the_error_of_a_commit_that_nobody_waited_for_comes_with_the_next_one(
    bench: Bench,
) -> None:
    fill(bench)
    log = bench.log()
    bench.proxy.swallowed = {PRODUCE}
    turn(log, waits=False)
    assert log.position("g") == {"events": 3}  # as it will be, if all goes well
    with pytest.raises(Retryable, match="KafkaTimeoutError"):
        turn(log)
    assert bench.values() == []
    bench.proxy.heal()
    assert again(lambda: log.position("g")) == {}
    turn(log, waits=False)
    log.flush()
    assert relayed(bench, log)


def test_of_two_logs_in_a_process_the_failure_of_one_undoes_only_its_own(bench: Bench) -> None:
    fill(bench)
    log = bench.log()
    beside = KafkaLog.of_worker(log._seat, None)
    bench.proxy.swallowed = {PRODUCE}
    turn(log, waits=False)
    with pytest.raises(Retryable, match="an earlier commit of this process"):
        _put(beside, b"beside")
    bench.proxy.heal()
    again(lambda: _put(beside, b"beside"))
    with pytest.raises(Retryable, match="KafkaTimeoutError"):
        log.flush()
    assert again(lambda: log.position("g")) == {}
    again(lambda: turn(log))
    assert bench.values() == [b"beside", *DONE] and log.position("g") == {"events": 3}
    beside.close()


def _put(log: KafkaLog, value: bytes) -> None:
    with log.begin("other") as transaction:
        transaction.append([Append(OUTCOMES, value)])


def test_a_rebalance_between_read_and_commit_is_noticed(bench: Bench) -> None:
    fill(bench)
    log = bench.log()
    position = log.position("g")
    records = log.read([EVENTS, LABELS], position, 10)
    member, shown = log._seat.member("g"), log._groups["g"]
    other = KafkaConsumer(
        f"{bench.name}.checkpoints", bootstrap_servers=bench.address, group_id=f"{bench.name}.g",
        partition_assignment_strategy=[CooperativeStickyAssignor],
    )  # fmt: skip
    over = threading.Event()
    thread, _ = in_thread(lambda: [other.poll(100) for _ in iter(over.is_set, True)])

    def moved() -> bool:
        return not member.is_still(
            shown
        )  # polls; the log keeps what it learned the position under

    wait_for(moved, 15, "the rebalance")

    def commit() -> None:
        with log.begin("g") as transaction:
            transaction.append(Append(OUTCOMES, b"out " + record.value) for record in records)
            transaction.advance(advanced(position, records))

    with pytest.raises(Retryable, match="CommitFailedError"):
        commit()
    over.set()
    thread.join(10)
    other.close()
    again(lambda: turn(log))
    assert relayed(bench, log)
