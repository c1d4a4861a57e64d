"""The cost of the guard: a transactional relay through `KafkaLog` beside a bare kafka-python one.

Both read 200-byte events from the same topic and write them to one, in transactions of 1,000 with their
input offsets, in turns within one run. `python -m tests.bench.kafka_relay [EVENTS] [ROUNDS]`; JSON on
standard output. Uses the broker of the tests (`tests/kit/kafka_broker.py`).
"""

# isort: off
from tests.kit.kafka_broker import _found
# isort: on

import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from shared.log.kafka_clients import Clients
from shared.log.kafka_log import KafkaLog
from shared.log.port import Append, Position, advanced
from shared.messages.streams import EVENTS, OUTCOMES

BATCH = 1_000
WARM = 5_000


def fill(address: str, topic: str, count: int) -> None:
    """The input, written by nobody in particular."""
    producer = KafkaProducer(bootstrap_servers=address, batch_size=1 << 18, linger_ms=5)
    for i in range(count):
        producer.send(topic, b'{"id":"e%09d","x":' % i + b"1" * 178 + b"}")
    producer.close()


class Stopwatch:
    """Wall and CPU time of this process from the `WARM`-th event to the last one of `count`: what
    happens once (joining, compiled code, connections) is not the path.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._began = self._took = (0.0, 0.0)

    def reached(self, done: int) -> bool:
        """So many are committed; is that all?"""
        now = (time.perf_counter(), time.process_time())
        if done <= WARM or self._began == (0.0, 0.0):
            self._warm, self._began = done, now
        self._took = (now[0] - self._began[0], now[1] - self._began[1])
        return done >= self._count

    def figures(self) -> dict[str, float]:
        """Events a second and CPU microseconds an event."""
        (wall, cpu), events = self._took, self._count - self._warm
        return {"events_per_s": events / wall, "cpu_us_per_event": cpu / events * 1e6}


def by_log(address: str, name: str, watch: Stopwatch) -> Callable[[], None]:
    """A relay through the port, as the runner uses it."""
    log = KafkaLog.opened(Clients(address), name, service="relay")
    start: Position = log.position("relay")

    def run() -> None:
        position, done = dict(start), 0
        while not watch.reached(done):
            records = log.read([EVENTS], position, BATCH)
            position = advanced(position, records)
            with log.begin("relay") as transaction:
                transaction.append(
                    Append(OUTCOMES, r.value, None, r.timestamp_ms) for r in records
                )
                transaction.advance(position)
            done += len(records)
        log.close()

    return run


def by_client(address: str, name: str, watch: Stopwatch) -> Callable[[], None]:
    """The shortest transactional relay that kafka-python allows; it checks nothing."""
    events = TopicPartition(f"{name}.events", 0)
    consumer: Any = KafkaConsumer(
        bootstrap_servers=address, isolation_level="read_committed", enable_auto_commit=False,
        max_partition_fetch_bytes=4 << 20, metrics_enabled=False,
    )  # fmt: skip
    consumer.assign([events])
    consumer.seek(events, 0)
    producer: Any = KafkaProducer(
        bootstrap_servers=address, transactional_id=f"{name}.bare", batch_size=1 << 18,
        metrics_enabled=False,
    )  # fmt: skip
    producer.init_transactions()

    def run() -> None:
        done = 0
        group = ConsumerGroupMetadata(f"{name}.bare")
        while not watch.reached(done):
            for rows in consumer.poll(1_000, max_records=BATCH).values():
                producer.begin_transaction()
                for row in rows:
                    producer.send(
                        f"{name}.outcomes", row.value, partition=0, timestamp_ms=row.timestamp
                    )
                offsets = {events: OffsetAndMetadata(rows[-1].offset + 1)}
                producer.send_offsets_to_transaction(offsets, group)
                producer.commit_transaction()
                done += len(rows)
        consumer.close()
        producer.close()

    return run


def main(count: int = 50_000, rounds: int = 3) -> None:
    """Both relays `rounds` times, in turns; medians and their ratio."""
    address, reasons = _found()
    if address is None:
        raise SystemExit(f"no Kafka: {reasons}")
    rows: dict[str, list[dict[str, float]]] = {"bare": [], "log": []}
    for _ in range(rounds):
        for kind, make in (("bare", by_client), ("log", by_log)):
            name = f"bench{uuid.uuid4().hex[:8]}"
            KafkaLog.opened(Clients(address), name).close()  # makes the topics
            fill(address, f"{name}.events", count)
            watch = Stopwatch(count)
            make(address, name, watch)()
            rows[kind].append(watch.figures())
    middle = {
        kind: {what: round(statistics.median(r[what] for r in runs), 1) for what in runs[0]}
        for kind, runs in rows.items()
    }
    ratio = {
        "throughput": middle["log"]["events_per_s"] / middle["bare"]["events_per_s"],
        "cpu": middle["log"]["cpu_us_per_event"] / middle["bare"]["cpu_us_per_event"],
    }
    print(json.dumps({
        "events": count, "rounds": rounds, "batch": BATCH, **middle,
        "log_over_bare": {what: round(value, 2) for what, value in ratio.items()},
        "kafka_python": kafka.__version__, "python": sys.version.split()[0],
        "cpus": os.cpu_count(), "load_1min": round(os.getloadavg()[0], 1),
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
