"""Made-up events (`source: {generate: …}`) over a real Kafka: the collector sends them itself."""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, kafka, kafka_name
# isort: on

import json
from pathlib import Path

import pytest
import yaml

from services.collector.shell import Replay
from shared.messages.streams import LABELS
from shared.problem.load import load_problem
from tests.kit.cluster import Cluster, Watching
from tests.kit.runs import ROOT

__all__ = ["collected", "kafka", "kafka_name"]
pytestmark = [pytest.mark.slow, *LEAKS]
ROWS = 300


def test_the_same_events_as_on_a_laptop_each_with_one_outcome(
    kafka: str, kafka_name: str, tmp_path: Path
) -> None:
    problem = yaml.safe_load((ROOT / "examples/drifting/problem.yaml").read_text())
    problem["source"]["generate"] |= {"rows": ROWS, "changes": []}
    cluster = Cluster(kafka, kafka_name, tmp_path, base=problem)
    outcomes = Watching(kafka, f"{kafka_name}.outcomes")
    outcomes.start()
    cluster.start("collector,validator,featurizer,scorer,joiner,learner")
    outcomes.wait(ROWS, 120, cluster)
    outcomes.stop()
    assert set(cluster.stop().values()) == {0}
    made = Replay(None, None, load_problem(cluster.problem)).next(10 * ROWS) or []
    labels = [json.loads(arrival.value) for arrival in made if arrival.stream is LABELS]
    expected = {label["id"]: label["label"] for label in labels}
    assert {m["id"]: m["label"] for m in outcomes.messages} == expected and len(expected) == ROWS
