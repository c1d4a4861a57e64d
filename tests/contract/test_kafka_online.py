"""The online view of a log on a real Kafka with several partitions."""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, kafka, kafka_name
# isort: on

from services.console.online import OnlineView
from shared.log.kafka_clients import Clients
from shared.log.kafka_log import KafkaLog
from shared.log.kafka_reader import KafkaReader
from shared.log.kafka_seat import Seat
from shared.log.kafka_topics import Places, create_missing
from shared.log.port import Append
from shared.messages.codec import encode
from shared.messages.streams import PREDICTIONS
from shared.online.memory import MemoryOnline
from shared.wiring import SHARED
from tests.kit.online import entities_of, is_whole, newest, prediction, problem
from tests.kit.servers import wait_for

__all__ = ["collected", "kafka", "kafka_name"]
pytestmark = LEAKS
PARTITIONS = 3
PROBLEM = problem()


def test_partitions_are_followed_and_gone_on_with(kafka: str, kafka_name: str) -> None:
    clients = Clients(kafka)
    create_missing(clients, kafka_name, partitions=PARTITIONS)
    seat = Seat(clients, kafka_name, "scorer", "0", PARTITIONS)
    wait_for(lambda: seat.assigned("scorer") == {0, 1, 2}, 30, "all partitions to be ours")
    logs = [KafkaLog.of_worker(seat, partition, SHARED) for partition in range(PARTITIONS)]
    reader = KafkaReader(clients, Places(kafka_name, PARTITIONS), SHARED)
    store = MemoryOnline(1_000)
    try:
        _predict(logs, 0, 90)
        view = OnlineView(store, PROBLEM)
        wait_for(lambda: view.step(reader, 25) == 0 and is_whole(store), 20, "a whole view")
        assert entities_of(store, 9) == {k: i // PARTITIONS for k, i in newest(90, 9).items()}
        first = store.state()
        _predict(logs, 90, 120)
        again = OnlineView(store, PROBLEM)
        wait_for(lambda: again.step(reader, 7) == 0 and _next(store) == 120, 20, "it to go on")
        state = store.state()
        assert first is not None
        assert state is not None
        assert state.generation == first.generation, "it went on, and did not start anew"
        assert entities_of(store, 9) == {k: i // PARTITIONS for k, i in newest(120, 9).items()}
    finally:
        for log in (*logs, reader):
            log.close()
        seat.close()


def _predict(logs: list[KafkaLog], start: int, end: int) -> None:
    """The predictions in turns to the partitions; with 9 entities a key stays in one."""
    for partition, log in enumerate(logs):
        with log.begin("scorer") as transaction:
            transaction.append(
                Append(PREDICTIONS, encode(prediction(i, 9)), f"key{i % 9}", i)
                for i in range(start, end)
                if i % PARTITIONS == partition
            )


def _next(store: MemoryOnline) -> int:
    state = store.state()
    return sum(place.next for place in state.places.values()) if state else 0
