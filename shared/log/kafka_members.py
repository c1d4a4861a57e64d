"""Who works for a group: one member at a time, known to the broker, so that a stale one is fenced.

Each group is a Kafka consumer group that subscribes to the topic `checkpoints`, whose one partition
is the group's token: whoever is assigned it may commit. The membership under which a position was
*learned* is the one that is shown with the next commits (KIP-447, R3): after any rebalance in between
the broker refuses, and the position has to be learned anew. Members are static (KIP-345): an instance
that is restarted takes its place back at once, and its predecessor is fenced.
"""

from collections.abc import Mapping
from typing import Any

from kafka import TopicPartition
from kafka.structs import ConsumerGroupMetadata, MemberState, OffsetAndMetadata

from shared.errors import Fenced, Retryable
from shared.log.kafka_clients import Clients, translated

_POLL_MS = 100


class Member:
    """Our membership in one group."""

    def __init__(
        self, clients: Clients, group_id: str, instance: str, token: TopicPartition
    ) -> None:
        self._group_id = group_id
        self._token = token
        self._patience = int(
            (clients.timeouts.session_s + clients.timeouts.block_s) * 1_000 / _POLL_MS
        )
        self._consumer = clients.member(group_id, instance)
        self._consumer.subscribe([token.topic])
        with self._translated():
            # Who joins before knowing the partitions assigns none, and has to join once more.
            self._consumer.partitions_for_topic(token.topic)
        self._shown: ConsumerGroupMetadata | None = None
        self._settled: dict[TopicPartition, int] = {}

    def join(self) -> None:
        """Hold the token; from now on this membership is shown with commits.

        Raises:
            Retryable: another member has it. Fenced: another process has our place.
        """
        self._shown = None
        with self._translated():
            for _ in range(self._patience):
                self._consumer.poll(timeout_ms=_POLL_MS)
                held = self._consumer.assignment()
                self._consumer.pause(*held)  # we are here for the membership, not for records
                shown: Any = self._consumer.group_metadata()
                if self._token in held and shown.state == MemberState.STABLE:
                    self._shown = shown
                    return
        raise Retryable(
            f"the group {self._group_id} is in the hands of another instance; this one stands by"
        )

    def shown(self) -> ConsumerGroupMetadata:
        """The membership under which the position was learned; keeps it alive."""
        with self._translated():
            self._consumer.poll(timeout_ms=0)
        assert self._shown is not None, "join first"
        return self._shown

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

    def _translated(self) -> Any:
        return translated(f"group {self._group_id}")
