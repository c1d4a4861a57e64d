"""One Kafka transaction that is all or nothing, in spite of the client.

kafka-python 3.0.12 can commit a transaction that has lost a record, report a commit that the broker
has aborted, carry offsets of an aborted transaction into the next one, and wait for ever. The guard's
rules (each held by a test in `tests/contract/test_kafka_traps.py`): every send is checked, then the
offsets go once, then the commit; after any error the producer is thrown away, and the next one, under
the same transactional id, makes the broker decide what became of the transaction (KIP-98).

A commit is four answers of the broker, one after the other, and little work: `start` sends, and leaves
the waiting to a thread; `outcome` says what came of it. One commit at a time.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from kafka import TopicPartition, errors
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from shared.errors import Retryable
from shared.log.kafka_clients import Clients, drop, translated

_LARGE = 1 << 18
"""Bytes. Far below what a request may hold."""


class Send(NamedTuple):
    """One record on its way: `value` None deletes `key` in a compacted topic."""

    to: TopicPartition
    value: bytes | None
    key: bytes | None
    timestamp_ms: int | None = None
    headers: list[tuple[str, bytes]] | None = None


class Offsets(NamedTuple):
    """How far a group has read, and the membership under which it learned where to start (KIP-447)."""

    by_partition: Mapping[TopicPartition, int]
    member: ConsumerGroupMetadata


Commit = Future[dict[TopicPartition, int]]
"""One that is under way, or over."""


class Guard:
    """The only user of a transactional producer."""

    def __init__(self, clients: Clients, transactional_id: str) -> None:
        self._clients = clients
        self._transactional_id = transactional_id
        self._producer: Any = None
        self._newest: Commit | None = None

    @property
    def is_open(self) -> bool:
        """False after an error: what was committed has to be looked up before going on."""
        return self._producer is not None

    def open(self) -> None:
        """A fresh producer; when this returns, nothing of an earlier one is undecided.

        Raises:
            Retryable: the broker did not answer in time. Fatal: it never will.
        """
        self._producer = self._clients.producer(self._transactional_id)

    def start(self, sends: Iterable[Send], offsets: Offsets | None) -> Commit:
        """Everything, or nothing and an error: here, or from `outcome`.

        Raises: as `outcome`.
        """
        earlier = self._newest
        if earlier is not None and earlier.exception() is not None:
            self.discard()
        producer = self._producer
        if producer is None:
            raise Retryable(
                f"{self._transactional_id}: an earlier commit of this process has failed"
            )
        with self._all_or_nothing():
            producer.begin_transaction()
            futures = _sent(producer, sends)
            self._newest = aside(partial(self._finish, producer, futures, offsets))
            return self._newest

    def outcome(self, commit: Commit) -> dict[TopicPartition, int]:
        """Where the sends of a commit ended: the last offset written in each partition.

        Raises:
            Retryable: look up what was committed, and do what is missing again. It may be all there:
                the answer to a commit can get lost.
            Fenced: the broker has ended the transaction, because another instance took over or because
                it took too long; kafka-python does not say which.
            Fatal: as `translated` says.
        """
        if commit is self._newest:
            with self._all_or_nothing():
                return commit.result()
        with translated(f"transaction of {self._transactional_id}"):
            return commit.result()

    def discard(self) -> None:
        """Throw the producer away; whatever it had open ends with the next `open`."""
        producer, self._producer, self._newest = self._producer, None, None
        if producer is not None:
            drop(producer)

    def close(self) -> None:
        """Let go in peace."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=1)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            with translated(f"transaction of {self._transactional_id}"):
                yield
        except BaseException:
            self.discard()
            raise

    def _finish(
        self, producer: Any, futures: Sequence[Any], offsets: Offsets | None
    ) -> dict[TopicPartition, int]:
        timeouts = self._clients.timeouts
        producer.flush(timeouts.delivery_s + timeouts.request_s)
        last = _last_offsets(futures)

        def end() -> dict[TopicPartition, int]:
            if offsets is not None:
                positions = {tp: OffsetAndMetadata(at) for tp, at in offsets.by_partition.items()}
                producer.send_offsets_to_transaction(positions, offsets.member)
            producer.commit_transaction()
            return last

        return within(timeouts.transaction_s, end)  # later the broker has aborted it anyway


def _sent(producer: Any, sends: Iterable[Send]) -> list[Any]:
    """`producer.send` for each, in order; the futures.

    `send` checks anew for every record what we know of all of them, measures its headers, and puts its
    own name into a debug line: as much work as the rest of it. Only the first of each partition goes
    that way, for the partition's sake, and what could be too large, for the error's.
    """
    futures, known = [], set()
    append, wakeup = producer._accumulator.append, producer._sender.wakeup
    for to, value, key, timestamp_ms, headers in sends:
        if to not in known or (value is not None and len(value) > _LARGE):
            future = producer.send(to.topic, value, key, headers, to.partition, timestamp_ms)
            known.add(to)
        else:
            future, _, is_new, _ = append(to, timestamp_ms, key, value, headers or [])
            if is_new:
                wakeup()
        futures.append(future)
    return futures


def _last_offsets(futures: Sequence[Any]) -> dict[TopicPartition, int]:
    """Where the sends of one transaction ended, once all of them are known to have arrived."""
    last: dict[TopicPartition, int] = {}
    for future in futures:
        if not future.succeeded():
            raise future.exception or errors.KafkaTimeoutError("a send was never answered")
        last[future.value.topic_partition] = future.value.offset
    return last


def aside(call: Callable[[], dict[TopicPartition, int]]) -> Commit:
    """Run `call` in a thread that does not keep the process from ending."""
    done: Commit = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001  handed over to whoever asks
            done.set_exception(error)

    threading.Thread(target=run, daemon=True, name="kafka-commit").start()
    return done


def within(
    limit_s: float, call: Callable[[], dict[TopicPartition, int]]
) -> dict[TopicPartition, int]:
    """What `call`, which knows no timeout, gives; given up after `limit_s`.

    Raises:
        KafkaTimeoutError: it is still busy. Its thread is left behind; it holds nothing of ours.
    """
    done = aside(call)
    try:
        return done.result(limit_s)
    except TimeoutError as error:
        if done.done():
            raise
        raise errors.KafkaTimeoutError(f"no answer within {limit_s} s") from error


class Watchdog:
    """Ends the process when a turn takes far too long (R6): a supervisor can restart a dead process,
    not a stuck one. It fires between `limit_s` and 1.25 times that.
    """

    def __init__(self, limit_s: float, bark: Callable[[], None] | None = None) -> None:
        self._tick_s = limit_s / 4
        self._limit_s = limit_s
        self._bark = bark or self._end
        self._turns = 0
        self._busy = False
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, daemon=True, name="kafka-watchdog").start()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """One turn."""
        self._turns += 1
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _watch(self) -> None:
        turn, ticks = -1, 0
        while not self._stopped.wait(self._tick_s):
            same = self._busy and turn == self._turns
            turn, ticks = self._turns, ticks + 1 if same else 0
            if ticks >= 4:  # seen at five ticks: at least four whole ticks in between
                self._bark()
                return

    def _end(self) -> None:
        sys.stderr.write(
            f"headrace: a Kafka transaction has been stuck for more than {self._limit_s} s; ending the "
            "process. Nothing of it was acknowledged; start it again, it goes on where it was.\n"
        )
        sys.stderr.flush()
        os._exit(1)
