"""A place to try Kafka clients out: one problem's topics, bare clients beside guarded logs, a proxy."""

from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from shared.log.kafka_clients import Clients, Timeouts, drop
from shared.log.kafka_log import KafkaLog
from shared.log.kafka_topics import create_missing
from tests.kit.kafka_proxy import Proxy

QUICK = Timeouts(request_s=0.8, delivery_s=1.5, transaction_s=2.5, session_s=6, block_s=6)


class Bench:
    """One problem's topics, bare clients for them, and what readers see."""

    def __init__(self, address: str, name: str) -> None:
        self.address, self.name = address, name
        self.out = TopicPartition(f"{name}.outcomes", 0)
        self.ins = [TopicPartition(f"{name}.events", 0), TopicPartition(f"{name}.labels", 0)]
        self.proxy = Proxy()
        self._made: list[Any] = []
        create_missing(Clients(address, timeouts=QUICK), name)

    def bare(self, identity: str, through: Proxy | None = None) -> Any:
        """A transactional producer as it comes."""
        producer = KafkaProducer(
            bootstrap_servers=self.address, transactional_id=f"{self.name}.{identity}",
            request_timeout_ms=800, delivery_timeout_ms=1_500, transaction_timeout_ms=2_000,
            max_block_ms=6_000, retry_backoff_ms=50, proxy_url=through and through.url,
        )  # fmt: skip
        self._made.append(producer)
        producer.init_transactions()
        return producer

    def log(self, timeouts: Timeouts = QUICK, through: Proxy | None = None) -> KafkaLog:
        proxy = through or self.proxy
        log = KafkaLog.opened(Clients(self.address, {"proxy_url": proxy.url}, timeouts), self.name)
        self._made.append(log)
        return log

    def values(self) -> list[bytes]:
        """What a read_committed reader finds in `outcomes`."""
        reader = KafkaConsumer(
            bootstrap_servers=self.address, isolation_level="read_committed",
            auto_offset_reset="earliest",
        )  # fmt: skip
        reader.assign([self.out])
        end, found = reader.end_offsets([self.out])[self.out], []
        while reader.position(self.out) < end:
            for rows in reader.poll(100).values():
                found += [row.value for row in rows]
        reader.close()
        return found

    def committed(self, group: str) -> list[int | None]:
        reader = KafkaConsumer(
            bootstrap_servers=self.address, group_id=group, isolation_level="read_committed"
        )
        offsets = [reader.committed(tp) for tp in self.ins]
        reader.close()
        return offsets

    def close(self) -> None:
        self.proxy.heal()
        for made in self._made:
            if isinstance(made, KafkaProducer):
                drop(made)
                made._sender.join(5)
            else:
                made.close()
        self._made.clear()
        self.proxy.close()
