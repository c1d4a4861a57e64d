"""What is known of the topic `checkpoints` stays true though it keeps deletions for minutes only."""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, kafka, kafka_name
# isort: on

from collections.abc import Iterator

import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from shared.errors import Retryable
from shared.log.kafka_clients import Clients
from shared.log.kafka_committed import Committed
from shared.log.kafka_log import KafkaLog
from shared.log.kafka_topics import DELETIONS_KEPT_MS, Places
from shared.messages.streams import CHECKPOINTS

__all__ = ["collected", "kafka", "kafka_name"]
pytestmark = LEAKS
KEPT_S = DELETIONS_KEPT_MS / 1_000


class Clock:
    """Seconds that a test lets pass."""

    now_s = 0.0
    step_s = 0.0

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


@pytest.fixture
def log(kafka: str, kafka_name: str) -> Iterator[KafkaLog]:
    opened = KafkaLog.opened(Clients(kafka), kafka_name)
    yield opened
    opened.close()


def save(log: KafkaLog, **entries: bytes | None) -> None:
    with log.begin("g") as transaction:
        transaction.save(entries.items(), {})


def known(committed: Committed, clients: Clients, tp: TopicPartition) -> dict[str, bytes]:
    committed.catch_up(clients.high_watermark(tp))
    return dict(committed.state.checkpoint("g").entries)


def test_what_was_deleted_meanwhile_is_forgotten_also_when_the_deletion_is_gone(
    log: KafkaLog, kafka: str, kafka_name: str
) -> None:
    clients, clock = Clients(kafka), Clock()
    tp = Places(kafka_name).at(CHECKPOINTS)
    committed = Committed(clients, tp, clock)
    save(log, stays=b"1", goes=b"2")
    assert known(committed, clients, tp) == {"stays": b"1", "goes": b"2"}
    save(log, goes=None)
    with clients.admin() as admin:  # as compaction would, long after
        both = {"cleanup.policy": "compact,delete"}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, tp.topic, both)])
        admin.delete_records({tp: clients.high_watermark(tp)})
    save(log, stays=b"1")
    clock.now_s += KEPT_S + 1
    assert known(committed, clients, tp) == {"stays": b"1"}
    committed.close()


def test_reading_that_takes_longer_than_deletions_are_kept_begins_anew(
    log: KafkaLog, kafka: str, kafka_name: str
) -> None:
    clients, clock = Clients(kafka), Clock()
    tp = Places(kafka_name).at(CHECKPOINTS)
    committed = Committed(clients, tp, clock)
    save(log, stays=b"1")
    clock.step_s = KEPT_S + 1
    with pytest.raises(Retryable, match=r"took longer than deletions are kept"):
        committed.catch_up()
    clock.step_s = 1.0
    assert known(committed, clients, tp) == {"stays": b"1"}
    committed.close()


def test_what_is_known_stays_until_the_topic_is_read_anew(
    log: KafkaLog, kafka: str, kafka_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients, clock = Clients(kafka), Clock()
    tp = Places(kafka_name).at(CHECKPOINTS)
    committed = Committed(clients, tp, clock)
    save(log, stays=b"1")
    assert known(committed, clients, tp) == {"stays": b"1"}
    clock.now_s += KEPT_S + 1

    def away(*_: object) -> None:
        raise Retryable("no answer")

    with monkeypatch.context() as broken:
        broken.setattr(committed._tails, "fetch", away)
        with pytest.raises(Retryable, match="no answer"):
            committed.catch_up()
    assert committed.state.checkpoint("g").entries == {"stays": b"1"}
    committed.close()
