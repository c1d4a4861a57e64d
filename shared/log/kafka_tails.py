"""Reading committed records of single-partition topics, from any offset on.

One consumer a partition, made when it is first read: a consumer for all of them would have to pause
partitions, and kafka-python 3.0.12 can forget the records of a paused one (`_paused_partition_records`
are not given back while the place for the next ones holds a used-up one).
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from kafka import TopicPartition

from shared.errors import Retryable
from shared.log.kafka_clients import Clients, translated

_POLL_MS = 100


class Tail:
    """What was fetched of one partition and not yet taken; `at` is the offset it starts from."""

    def __init__(self, clients: Clients, tp: TopicPartition) -> None:
        self._tp = tp
        self._patience = int(clients.timeouts.block_s * 1_000 / _POLL_MS)
        self._consumer = clients.reader()
        self._consumer.assign([tp])
        self.rows: deque[Any] = deque()
        self.at = -1

    def aim(self, start: int) -> None:
        """The next row shall be the first at `start` or after."""
        if self.at != start:
            self.rows.clear()
            self.at = start
            self._consumer.seek(self._tp, start)

    def fill(self, count: int, end: int) -> None:
        """Fetch until there are `count` rows, or all before `end`.

        Raises:
            Retryable: the broker did not deliver what it says it has.
        """
        waited = 0
        while not self._full(count, end):
            fetched = self._consumer.poll(timeout_ms=_POLL_MS, max_records=2 * count)
            self.rows.extend(fetched.get(self._tp, ()))
            waited = 0 if fetched else waited + 1
            if waited > self._patience:
                raise Retryable(
                    f"{self._tp.topic}: nothing comes from {self.at} on, the end is {end}"
                )

    def take(self, count: int) -> None:
        """The first `count` rows were read."""
        for _ in range(count):
            self.at = self.rows.popleft().offset + 1

    def reached(self) -> int:
        """The offset after what was taken, past transaction markers where they come next (R9)."""
        if self.rows:
            return int(self.rows[0].offset)
        return max(self.at, self._position())

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()

    def _full(self, count: int, end: int) -> bool:
        if len(self.rows) >= count or self.at >= end:
            return True
        if self.rows and self.rows[-1].offset + 1 >= end:
            return True
        return self._position() >= end

    def _position(self) -> int:
        return int(self._consumer.position(self._tp) or 0)


class Tails:
    """The tails of a problem, under `read_committed` (R1)."""

    def __init__(self, clients: Clients, partitions: Sequence[TopicPartition]) -> None:
        self._clients = clients
        self._tails: dict[TopicPartition, Tail] = {}
        self._written: dict[TopicPartition, int] = {}
        self._asking = clients.reader()
        self._asking.assign(list(partitions))  # only for their metadata; it reads nothing

    def tail(self, tp: TopicPartition) -> Tail:
        """The tail of one partition."""
        if tp not in self._tails:
            self._tails[tp] = Tail(self._clients, tp)
        return self._tails[tp]

    def fetch(self, starts: Mapping[TopicPartition, int], count: int) -> None:
        """Fill the tails from these offsets on, each up to `count` or to the end of what is there.

        Raises:
            Retryable: the broker does not answer, or not with what it says it has.
        """
        with self._translated():
            for tp, start in starts.items():
                self.tail(tp).aim(start)
            lacking = [tp for tp in starts if len(self._tails[tp].rows) < count]
            if lacking:
                for tp, end in self.ends(lacking).items():
                    self._tails[tp].fill(count, end)

    def reached(self, tp: TopicPartition) -> int:
        """See `Tail`."""
        with self._translated():
            return self.tail(tp).reached()

    def wrote(self, last: Mapping[TopicPartition, int]) -> None:
        """We have committed up to these offsets; from now on a read waits until it sees them."""
        self._written.update({tp: offset + 1 for tp, offset in last.items()})

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Where committed records end: the last stable offset, and never before our own last one.

        (The broker answers a commit before readers can see all of it.)
        """
        with self._translated():
            try:
                ends = self._asking.end_offsets(list(partitions))
            except KeyError as error:  # it leaves out partitions whose leader it does not know
                raise Retryable(f"Kafka has no leader for {error} just now") from error
        return {tp: max(end, self._written.get(tp, 0)) for tp, end in ends.items()}

    def start(self, tp: TopicPartition) -> int:
        """Where records begin."""
        with self._translated():
            return int(self._asking.beginning_offsets([tp])[tp])

    def close(self) -> None:
        """Let go of the connections."""
        for reader in (self._asking, *self._tails.values()):
            reader.close()

    def _translated(self) -> AbstractContextManager[None]:
        return translated(f"{self._clients.servers}: reading")
