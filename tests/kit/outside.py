"""A consumer outside Headrace, as a process: `python -m tests.kit.outside ADDRESS TOPIC OFFSET...`.

One topic under `read_committed`, one OFFSET for each partition; a line a message on standard output:
partition, offset, time of arrival, value.
"""

import sys
import time

from confluent_kafka import Consumer, TopicPartition


def main(address: str, topic: str, *offsets: str) -> None:
    """Read until the pipe is closed."""
    consumer = Consumer({
        "bootstrap.servers": address, "group.id": "outside", "enable.auto.commit": False,
        "isolation.level": "read_committed", "auto.offset.reset": "error", "log_level": 0,
    })  # fmt: skip
    consumer.assign([TopicPartition(topic, p, int(at)) for p, at in enumerate(offsets)])
    while True:
        for message in consumer.consume(500, 0.1):
            if message.error() is not None:
                sys.stderr.write(f"{message.error()}\n")
                continue
            place = f"{message.partition()} {message.offset()} {time.time():.6f} "
            sys.stdout.buffer.write(place.encode() + (message.value() or b"") + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
