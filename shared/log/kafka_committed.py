"""One partition of the topic `checkpoints`, folded as far as it was read."""

import time
from collections.abc import Iterable, Mapping

from kafka import TopicPartition

from shared.errors import Retryable
from shared.log.kafka_clients import Clients
from shared.log.kafka_state import Row, State
from shared.log.kafka_tails import Tails

_MANY = 10_000
_PAUSE_S = 0.05


class Committed:
    """What is known of it. All logs of a process share one: at a start it is read whole, once."""

    def __init__(self, clients: Clients, tp: TopicPartition) -> None:
        self.state = State()
        self.reached = 0
        """Kafka's offset up to which `state` knows the partition."""
        self._clients = clients
        self._tp = tp
        self._tails = Tails(clients, [tp])

    def catch_up(self, at_least: int = 0) -> None:
        """Fold what is committed, waiting until that reaches Kafka's offset `at_least`.

        Raises:
            Retryable: the transaction of another process does not end.
        """
        tp, tail = self._tp, self._tails.tail(self._tp)
        for _ in range(int(3 * self._clients.timeouts.transaction_s / _PAUSE_S)):
            self._tails.fetch({tp: self.reached}, _MANY)
            while rows := tail.rows:
                self.state.fold(Row(row.key.decode(), row.value, row.offset) for row in rows)
                tail.take(len(rows))
                self.reached = tail.at
                self._tails.fetch({tp: self.reached}, _MANY)
            if self._tails.reached(tp) >= at_least:
                return
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
