"""A producer outside Headrace: `python -m tests.kit.producer ADDRESS PROBLEM FILE PER_S FIRST`.

FILE holds a JSON list a line: key, event, label. From line FIRST on they are sent, PER_S a second, each
event followed by its label, until the end or SIGTERM. On standard output, a line each: `sent N TIME`,
and `through N` when all before line N is with the broker. Exit code 1: something was given up.
"""

import json
import signal
import sys
import time
from itertools import islice
from typing import Any

from confluent_kafka import Producer

_BURST_S, _LONGEST_S = 0.02, 0.05
"""To wake up for each of hundreds of events a second takes half a core."""


class Outside:
    """Sends in order; knows up to where all was acknowledged."""

    def __init__(self, address: str, problem: str, first: int) -> None:
        self._problem = problem
        self._producer = Producer({
            "bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 5,
            "message.timeout.ms": 120_000, "log_level": 0,
        })  # fmt: skip
        self._open: dict[int, int] = {}
        self._through = first
        self.failed = self.is_over = False

    def send(self, n: int, key: str, event: str, label: str) -> None:
        self._open[n] = 2
        self._produce(n, "events", event, key)
        _say(f"sent {n} {time.time():.6f}")
        self._produce(n, "labels", label, None)

    def wait(self) -> None:
        self._producer.poll(0)

    def finish(self) -> None:
        self.failed |= self._producer.flush(120) > 0

    def _produce(self, n: int, stream: str, value: str, key: str | None) -> None:
        def done(error: Any, _message: Any) -> None:
            if error is not None:
                sys.stderr.write(f"{stream} {n}: {error}\n")
                self.failed = True
            self._open[n] -= 1
            while self._open.get(self._through) == 0:
                del self._open[self._through]
                self._through += 1
                _say(f"through {self._through}")

        while True:
            try:
                topic = f"{self._problem}.{stream}"
                self._producer.produce(topic, value, key=key, on_delivery=done)
                return
            except BufferError:
                self._producer.poll(0.1)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(address: str, problem: str, path: str, per_s: str, first: str) -> int:
    """Send until the end of the file, or until told to stop."""
    outside = Outside(address, problem, int(first))
    signal.signal(signal.SIGTERM, lambda *_: setattr(outside, "is_over", True))
    began = time.monotonic()
    with open(path, encoding="utf-8") as lines:
        for n, line in enumerate(islice(lines, int(first), None)):
            due = began + n / float(per_s)
            while (wait := due - time.monotonic()) > 0 and not outside.is_over:
                time.sleep(min(max(wait, _BURST_S), _LONGEST_S))
                outside.wait()
            if outside.is_over:
                break
            outside.send(int(first) + n, *json.loads(line))
    outside.finish()
    return int(outside.failed)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
