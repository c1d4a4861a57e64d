"""One partition of the topic `checkpoints`, folded as far as it was read."""

import time
from collections.abc import Callable, Iterable, Mapping

from kafka import TopicPartition

from shared.errors import Retryable
from shared.log.kafka_clients import Clients
from shared.log.kafka_state import Row, State
from shared.log.kafka_tails import Tails
from shared.log.kafka_topics import DELETIONS_KEPT_MS

_MANY = 10_000
_PAUSE_S = 0.05
_DELETIONS_KEPT_S = DELETIONS_KEPT_MS / 1_000


class Committed:
    """What is known of it. All logs of a process share one: at a start it is read whole, once, and
    again when it was not looked at for so long that deletions may be gone which were not seen.
    """

    def __init__(
        self,
        clients: Clients,
        tp: TopicPartition,
        clock_s: Callable[[], float] = time.monotonic,  # noqa: TID251  no record depends on it
    ) -> None:
        self._clients = clients
        self._tp = tp
        self._tails = Tails(clients, [tp])
        self._clock_s = clock_s
        self.state = State()
        self.reached = 0
        """Kafka's offset up to which `state` knows the partition."""
        self._known_s = clock_s()
        """Until then nothing escaped us."""

    def catch_up(self, at_least: int = 0) -> None:
        """Fold what is committed, waiting until that reaches Kafka's offset `at_least`.

        Raises:
            Retryable: the transaction of another process does not end; or reading took so long that
                deletions may have gone meanwhile, and begins anew.
        """
        began_s = self._clock_s()
        state, reached, known_s = self.state, self.reached, self._known_s
        if began_s - known_s > _DELETIONS_KEPT_S:  # aside: what is known stays until all is read
            state, reached, known_s = State(), 0, began_s
        reached = self._read(state, reached, at_least)
        if self._clock_s() - known_s > _DELETIONS_KEPT_S:
            raise Retryable(
                f"{self._tp.topic}:{self._tp.partition}: reading it took longer than deletions are "
                f"kept ({_DELETIONS_KEPT_S:g} s, delete.retention.ms)"
            )
        self.state, self.reached, self._known_s = state, reached, began_s

    def _read(self, state: State, reached: int, at_least: int) -> int:
        """Fold what lies behind `reached` into `state`; up to where it was read."""
        tp, tail = self._tp, self._tails.tail(self._tp)
        for _ in range(int(3 * self._clients.timeouts.transaction_s / _PAUSE_S)):
            self._tails.fetch({tp: reached}, _MANY)
            while rows := tail.rows:
                state.fold(Row(row.key.decode(), row.value, row.offset) for row in rows)
                tail.take(len(rows))
                reached = tail.at
                self._tails.fetch({tp: reached}, _MANY)
            if self._tails.reached(tp) >= at_least:
                return reached
            time.sleep(_PAUSE_S)
        raise Retryable(
            f"{tp.topic}:{tp.partition}: a transaction of another process does not end"
        )

    def wrote(self, rows: Iterable[Row], last: Mapping[TopicPartition, int]) -> None:
        """We have committed these rows ourselves, as the `last` in their partition."""
        self._tails.wrote(last)
        self.state.fold(row._replace(offset=last[self._tp]) for row in rows)

    def close(self) -> None:
        """Let go of the connections."""
        self._tails.close()
