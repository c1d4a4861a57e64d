"""The score path on Kafka beside a bare relay: `python -m tests.bench.kafka_score [EVENTS] [ROUNDS]`.

Ours: `headrace serve validator,featurizer,scorer` (validate, features, score, publish, exactly once),
in this process. Bare: kafka-python's shortest transactional relay of the same events. With Quix Streams
installed (`make bench-kafka` does that) also Quix doing the same job exactly once, with keyed state and
a River Hoeffding tree (`tests/bench/kafka_quix.py`). In turns, in one run; JSON on standard output.
"""

# isort: off
from tests.kit.kafka_broker import _found
# isort: on

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kafka
from kafka import KafkaProducer

from services.process import Process
from shared.log.kafka_clients import Clients
from shared.log.kafka_topics import create_missing
from shared.problem.load import load_problem
from shared.runtime.garbage import relax_collector
from shared.settings import Settings
from tests.bench.kafka_relay import BATCH, Stopwatch, by_client
from tests.kit.cluster import half_hours
from tests.kit.runs import ELECTRICITY, ROOT

QUIX = ROOT / ".cache" / "quix" / "bin" / "python"
GROUP = ("validator", "featurizer", "scorer")


def fill(address: str, topic: str, count: int) -> None:
    """The example's first events, with ids of their own where they begin again."""
    rows = [event for event, _ in half_hours(min(count, 45_000))]
    producer = KafkaProducer(bootstrap_servers=address, batch_size=1 << 18, linger_ms=5)
    for i in range(count):
        turn, at = divmod(i, len(rows))
        value = rows[at] if not turn else rows[at].replace(b'"nsw-', b'"%d-' % turn, 1)
        producer.send(topic, value, b"NSW", timestamp_ms=i)
    producer.close()


def by_us(address: str, name: str, watch: Stopwatch) -> Callable[[], None]:
    """The three services in one process; stops when the last prediction is committed."""
    problem = load_problem(ELECTRICITY).model_copy(update={"name": name})
    folder = Path(tempfile.mkdtemp())
    settings = Settings(log=f"kafka://{address}")
    process = Process(problem, folder, settings, GROUP, batch_size=BATCH)
    over, seen = threading.Event(), process.meters.registry

    def turn() -> None:
        labels = {"service": process.group, "problem": name, "stream": "predictions"}
        if watch.reached(
            int(seen.get_sample_value("headrace_records_written_total", labels) or 0)
        ):
            over.set()

    def run() -> None:
        relax_collector()  # as `headrace serve` does
        process.run(None, over, turn)
        process.close()

    return run


def by_quix(address: str, name: str, count: int) -> dict[str, float]:
    """The same by Quix Streams, in its own environment and process."""
    script = Path(__file__).with_name("kafka_quix.py")
    data = ELECTRICITY.parent / "electricity.parquet"
    command = [str(QUIX), str(script), address, name, str(count), str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise SystemExit(f"Quix Streams failed: {done.stderr[-1000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def contest(kind: str, address: str, name: str, count: int) -> dict[str, float]:
    """One turn of one contestant."""
    if kind == "quix_streams":
        return by_quix(address, name, count)
    watch = Stopwatch(count)
    make = by_client if kind == "bare_relay" else by_us
    make(address, name, watch)()
    return watch.figures()


def main(count: int = 40_000, rounds: int = 3) -> None:
    """Each contestant `rounds` times, in turns; medians and ratios."""
    address, reasons = _found()
    if address is None:
        raise SystemExit(f"no Kafka: {reasons}")
    rows: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for kind in ("bare_relay", "headrace", *(["quix_streams"] if QUIX.exists() else [])):
            name = f"b{uuid.uuid4().hex[:8]}"
            create_missing(Clients(address), name)
            fill(address, f"{name}.events", count)
            rows.setdefault(kind, []).append(contest(kind, address, name, count))
    middle: dict[str, dict[str, Any]] = {
        kind: {what: round(statistics.median(r[what] for r in runs), 1) for what in runs[0]}
        for kind, runs in rows.items()
    }
    ours = middle["headrace"]
    ratios = {
        "events_per_s_over_bare": ours["events_per_s"] / middle["bare_relay"]["events_per_s"],
        "cpu_over_bare": ours["cpu_us_per_event"] / middle["bare_relay"]["cpu_us_per_event"],
    }
    if quix := middle.get("quix_streams"):
        ratios["per_cpu_second_over_quix"] = quix["cpu_us_per_event"] / ours["cpu_us_per_event"]
    print(json.dumps({
        "events": count, "rounds": rounds, "batch": BATCH, **middle,
        "ratios": {what: round(value, 2) for what, value in ratios.items()},
        "kafka_python": kafka.__version__, "python": sys.version.split()[0],
        "cpus": os.cpu_count(), "load_1min": round(os.getloadavg()[0], 1),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
