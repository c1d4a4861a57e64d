"""Models are swapped under load: each partition has one boundary a swap, no gap, no mixed batch."""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, kafka, kafka_name
# isort: on

import sys
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from services.learner.core import Learner
from shared import wiring
from shared.log.kafka_clients import Clients
from shared.log.kafka_log import KafkaLog
from shared.log.port import Append
from shared.messages.codec import encode
from shared.messages.streams import MODELS, OUTCOMES
from shared.messages.types import Outcome
from shared.problem.load import load_problem
from shared.settings import Settings
from shared.stage import Record, Tools
from tests.kit.cluster import Cluster, Producing, Watching
from tests.kit.sensors import PROBLEM, SCORE_PATH, key, readings

__all__ = ["collected", "kafka", "kafka_name"]
pytestmark = [pytest.mark.slow, *LEAKS]
SWAPS = 20
PER_S = 2_000.0
EVERY_S = 1.0


def test_twenty_swaps_under_load(kafka: str, kafka_name: str, tmp_path: Path) -> None:
    cluster = Cluster(kafka, kafka_name, tmp_path, partitions=2, base=PROBLEM)
    cluster.start(SCORE_PATH)
    watching = Watching(kafka, f"{kafka_name}.predictions", partitions=2)
    watching.start()
    warm = readings(200)
    Producing(kafka, kafka_name, warm, 100.0, key).run()
    watching.wait(len(warm), 120, cluster)
    rows = readings(200 + int(PER_S * SWAPS * EVERY_S * 4))[200:]
    producing = Producing(kafka, kafka_name, rows, PER_S, key)
    producing.start()
    time.sleep(2 * EVERY_S)
    swapped = _swaps(cluster, kafka)
    time.sleep(2 * EVERY_S)
    producing.stop()
    count = len(warm) + producing.sent
    watching.wait(count, 60, cluster)
    watching.stop()
    cluster.stop()
    by_partition: dict[int, list[str]] = {}
    for message, partition in zip(watching.messages, watching.partitions, strict=True):
        by_partition.setdefault(partition, []).append(message["model"])
    versions = [f"v{n}" for n in range(1, SWAPS + 2)]
    for models in by_partition.values():
        assert [models[0], *(b for a, b in pairwise(models) if a != b)] == versions
    assert len({m["id"] for m in watching.messages}) == len(watching.messages) == count
    _latency(watching, producing, len(warm), swapped)


def _swaps(cluster: Cluster, kafka: str) -> list[float]:
    """Publish snapshots with another champion each, as a learner would after a promotion."""
    problem = load_problem(cluster.problem)
    data = cluster.folder / "data"
    signed = wiring.open_keys(Settings(), data).signer.sign
    tools = Tools(wiring.open_blobs("", data), None, None, signed, None)  # type: ignore[arg-type]
    learner = Learner(problem, tools)
    learner._know([0, 1])
    log = KafkaLog.opened(Clients(kafka), cluster.name, service="learner", foreign=wiring.SHARED)
    at: list[float] = []
    for n in range(2, SWAPS + 2):
        pool, now = learner._pool, datetime.now(UTC)
        pool.versions = {f"v{n}": pool.versions.pop(pool.champion)}
        pool.champion = f"v{n}"
        pool._find_columns()
        learner._outcomes = n  # a snapshot is taken if it is newer
        last = Outcome(id="", time=now, prediction=0, model="", features={}, feature_set="")
        event = learner._snapshot(Record(OUTCOMES, last)).value
        with log.begin("learner") as transaction:
            transaction.append(
                [Append(MODELS, encode(event), timestamp_ms=int(now.timestamp() * 1e3))]
            )
        at.append(time.time())
        time.sleep(EVERY_S)
    log.close()
    return at


def _latency(watching: Watching, producing: Producing, warm: int, swapped: list[float]) -> None:
    """Printed for the record: a test that asserts times would be a test of the machine."""
    sent = {f"e{200 + n}": at for n, at in enumerate(producing.sent_at)}
    pairs = [
        (sent[m["id"]], at - sent[m["id"]])
        for m, at in zip(watching.messages[warm:], watching.arrived[warm:], strict=True)
    ]
    during = [took for at, took in pairs if any(s - 0.1 <= at <= s + 0.3 for s in swapped)]
    steady = [took for at, took in pairs if all(not s - 0.1 <= at <= s + 0.3 for s in swapped)]
    shown = {
        name: {f"p{p}_ms": round(float(np.percentile(values, p)) * 1e3, 1) for p in (50, 99)}
        for name, values in (("steady", steady), ("during_swaps", during))
    }
    sys.stderr.write(f"latency at {PER_S:g} events/s: {shown}\n")
