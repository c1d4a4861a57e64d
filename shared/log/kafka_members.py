"""Who works on what: one member at a time for each token, known to the broker, so that a stale one is
fenced.

Each group is a Kafka consumer group that subscribes to the topic `checkpoints`. Its partition p is the
group's token for partitions p: whoever is assigned it may commit there. The membership under which a
position was *learned* is the one that is shown with the next commits (KIP-447, R3): after any rebalance
in between the broker refuses, and the position has to be learned anew. Members are static (KIP-345): an
instance that is restarted takes its place back at once, and its predecessor is fenced. Rebalances are
cooperative (KIP-429): who keeps a token goes on working.
"""

from collections.abc import Mapping
from typing import Any

from kafka import TopicPartition
from kafka.structs import ConsumerGroupMetadata, MemberState, OffsetAndMetadata

from shared.errors import Fenced, Retryable
from shared.log.kafka_clients import Clients, translated

_POLL_MS = 100
_JOIN_MS = 500


class Member:
    """Our membership in one group."""

    def __init__(self, clients: Clients, group_id: str, instance: str, topic: str) -> None:
        self._group_id = group_id
        self._patience = int(
            (clients.timeouts.session_s + clients.timeouts.block_s) * 1_000 / _POLL_MS
        )
        self._consumer = clients.member(group_id, instance)
        self._consumer.subscribe([topic])
        with self._translated():
            # Who joins before knowing the partitions assigns none, and has to join once more.
            self._consumer.partitions_for_topic(topic)
        self._settled: dict[TopicPartition, int] = {}

    def join(self, token: TopicPartition, waits: bool) -> ConsumerGroupMetadata:
        """Hold the token; the membership that is to be shown with commits from now on.

        `waits`: also when another has it just now, until its session would have ended.

        Raises:
            Retryable: another member has it. Fenced: another process has our place.
        """
        for _ in range(self._patience):
            held = self.held(_POLL_MS)
            if token in (held or ()):
                return self._shown()
            if held is not None and not waits:
                break
        raise Retryable(
            f"the group {self._group_id} is in the hands of another instance; this one stands by"
        )

    def held(self, wait_ms: int = 0) -> frozenset[TopicPartition] | None:
        """The tokens that are ours now; None while the group is being arranged. Keeps us a member.

        Raises:
            Fenced: another process has our place.
        """
        self._poll(wait_ms)
        with self._translated():
            if self._shown().state != MemberState.STABLE:
                return None
            return frozenset(self._consumer.assignment())

    def is_still(self, shown: ConsumerGroupMetadata) -> bool:
        """Nothing was arranged anew since `shown`. Keeps us a member."""
        self._poll(0)
        return _identity(self._shown()) == _identity(shown)

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """These offsets are with the broker."""
        self._settled.update(offsets)

    def settle(self, reached: Mapping[TopicPartition, int]) -> None:
        """Idle: move committed offsets past markers of transactions, so that lag is 0 (R9)."""
        moved = {tp: at for tp, at in reached.items() if 0 <= self._settled.get(tp, at) < at}
        if moved:
            offsets = {tp: OffsetAndMetadata(at) for tp, at in moved.items()}
            with self._translated():
                self._consumer.commit(offsets, timeout_ms=_POLL_MS * self._patience)
            self._settled.update(moved)

    def verify(self) -> bool:
        """Is our place still ours? Asked of the broker, by committing once more what is committed.

        False also when nothing was committed yet, so that there is nothing to ask with.
        """
        offsets = {tp: OffsetAndMetadata(at) for tp, at in self._settled.items()}
        try:
            with self._translated():
                self._consumer.commit(offsets, timeout_ms=_POLL_MS * self._patience)
        except Fenced:
            return False
        return bool(offsets)

    def close(self) -> None:
        """Be gone; a static member keeps its place until the session ends."""
        self._consumer.close()

    def _poll(self, wait_ms: int) -> None:
        """A join that is given no time is broken off, and the next one starts from the beginning."""
        with self._translated():
            settled = self._shown().state == MemberState.STABLE
            self._consumer.poll(timeout_ms=wait_ms if settled else max(wait_ms, _JOIN_MS))
            # we are here for the membership, not for records
            self._consumer.pause(*self._consumer.assignment())

    def _shown(self) -> ConsumerGroupMetadata:
        shown: ConsumerGroupMetadata = self._consumer.group_metadata()
        return shown

    def _translated(self) -> Any:
        return translated(f"group {self._group_id}")


def _identity(shown: Any) -> tuple[object, ...]:
    return tuple(shown[:-1])  # the last says whether the group is being arranged just now
