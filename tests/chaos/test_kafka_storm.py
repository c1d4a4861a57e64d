"""A rebalance storm: instances of the score path come and go, four partitions, eight keys.

Also the end of it: each key's predictions stand in the order of its events, exactly one an event.
"""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, kafka, kafka_name
# isort: on

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.counting import counted
from tests.chaos.programme import Programme
from tests.kit.cluster import Cluster, Producing, Watching
from tests.kit.sensors import PROBLEM, SCORE_PATH, key, readings

__all__ = ["collected", "kafka", "kafka_name"]
pytestmark = [pytest.mark.slow, *LEAKS]
SEED = int(os.environ.get("HEADRACE_CHAOS_SEED", "20261121"))
CYCLES = 20
EXTRA = ("1", "2", "3")


def test_instances_come_and_go_and_nothing_is_lost_doubled_or_reordered(
    kafka: str, kafka_name: str, tmp_path: Path
) -> None:
    rng = random.Random(SEED)
    cluster = Cluster(kafka, kafka_name, tmp_path, partitions=4, base=PROBLEM)
    programme = Programme(cluster, SEED)
    watching = Watching(kafka, f"{kafka_name}.predictions", partitions=4)
    watching.start()
    cluster.start(SCORE_PATH)
    rows = readings(80_000)
    producing = Producing(kafka, kafka_name, rows, 200.0, key)
    producing.start()
    watching.wait(100, 120, cluster)
    for _ in range(CYCLES):
        for instance in EXTRA:
            cluster.start(SCORE_PATH, instance=instance)
        time.sleep(rng.uniform(2.5, 5.0))
        for instance in EXTRA:
            cluster.signal(signal.SIGKILL, SCORE_PATH, instance)
            del cluster.running[f"{SCORE_PATH.replace(',', '+')}.{instance}"]
        programme.revive()
    producing.stop()
    watching.wait(producing.sent, 120)
    time.sleep(1)
    watching.stop()
    cluster.stop()
    sent = [f"e{n}" for n in range(producing.sent)]
    found = counted(sent, watching.messages, [])
    assert {name: found[name] for name in ("lost", "doubled", "reordered")} == {
        "lost": 0, "doubled": 0, "reordered": 0,
    }, found  # fmt: skip
    assert len(set(watching.partitions)) == 4
    assert all(not codes for codes in programme.restarts.values()), programme.restarts
