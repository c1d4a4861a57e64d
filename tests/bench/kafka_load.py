"""The score path as processes: latency at half of one's throughput, and what a second one brings.

`python -m tests.bench.kafka_load [EVENTS]`; JSON on standard output. One process of `headrace serve
validator,featurizer,scorer`, then two, on a topic of two partitions that is filled in a second or two;
then one, fed at parts of what it managed. The broker and the client that watches share the cores.
"""

# isort: off
from tests.kit.kafka_broker import _found
# isort: on

import json
import os
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Producer

from tests.kit.cluster import Cluster, Producing, Watching
from tests.kit.sensors import PROBLEM, SCORE_PATH, key, readings

WARM = 200


def throughput(address: str, count: int, instances: int) -> float:
    """Events a second, from the 20th to the 80th percent of the predictions."""
    name = f"load{uuid.uuid4().hex[:8]}"
    cluster = Cluster(address, name, Path(tempfile.mkdtemp()), partitions=2, base=PROBLEM)
    rows = readings(WARM + count)
    watching = Watching(address, f"{name}.predictions", partitions=2)
    watching.start()
    for instance in range(instances):
        cluster.start(SCORE_PATH, instance=str(instance))
    Producing(address, name, rows[:WARM], 50.0, key).run()
    watching.wait(WARM, 120, cluster)
    producer = Producer({"bootstrap.servers": address, "linger.ms": 20})
    for n, (event, _) in enumerate(rows[WARM:]):
        producer.produce(f"{name}.events", event, key=key(n))
        producer.poll(0)
    producer.flush(60)
    watching.wait(WARM + count, 300, cluster)
    watching.stop()
    cluster.stop()
    first, last = (watching.arrived[WARM + int(count * share)] for share in (0.2, 0.8))
    return 0.6 * count / (last - first)


def latency(address: str, per_s: float, seconds: float = 20.0) -> dict[str, float]:
    """From the producer's call to the prediction in the hands of a `read_committed` client.

    Without percentiles: the two cores, which feed and watch as well, did not keep up.
    """
    name = f"load{uuid.uuid4().hex[:8]}"
    cluster = Cluster(address, name, Path(tempfile.mkdtemp()), partitions=2, base=PROBLEM)
    rows = readings(WARM + int(per_s * seconds))
    watching = Watching(address, f"{name}.predictions", partitions=2)
    watching.start()
    cluster.start(SCORE_PATH)
    Producing(address, name, rows[:WARM], 50.0, key).run()
    watching.wait(WARM, 120, cluster)
    producing = Producing(address, name, rows[WARM:], per_s, key)
    producing.run()
    fed = {"fed_per_s": round(per_s)}
    try:
        watching.wait(len(rows), 5, cluster)
    except TimeoutError:
        return fed
    finally:
        watching.stop()
        cluster.stop()
    sent = {f"e{WARM + n}": at for n, at in enumerate(producing.sent_at)}
    took = [
        at - sent[m["id"]]
        for m, at in zip(watching.messages, watching.arrived, strict=True)
        if m["id"] in sent
    ]
    settled = took[len(took) // 4 :]
    return fed | {f"p{p}_ms": round(float(np.percentile(settled, p)) * 1e3, 1) for p in (50, 99)}


def main(count: int = 100_000) -> None:
    """All three."""
    address, reasons = _found()
    if address is None:
        raise SystemExit(f"no Kafka: {reasons}")
    one, two = throughput(address, count, 1), throughput(address, count, 2)
    shown: dict[str, Any] = {
        "events": count,
        "events_per_s": {"one process": round(one), "two processes": round(two)},
        "speed_up": round(two / one, 2),
        "latency": {f"at 1/{part} of it": latency(address, one / part) for part in (2, 4, 8)},
        "cpus": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 1),
        "at": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
