"""What real processes over a real Kafka answer to probes and to Prometheus."""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, kafka, kafka_name
# isort: on

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.kit.cluster import Cluster, Producing, half_hours

__all__ = ["collected", "kafka", "kafka_name"]
pytestmark = [pytest.mark.slow, *LEAKS]
SCORE_PATH = "validator,featurizer,scorer"
REST = "joiner,learner"
ROWS = 400
PATIENCE_S = 180.0


def asked(cluster: Cluster, path: str, group: str, instance: str = "0") -> tuple[int, str]:
    """Status and body; 0 while nobody listens yet."""
    place = re.findall(r"metrics on (http://[\d.:]+)", cluster.said(group, instance))
    if not place:
        return 0, ""
    try:
        with urlopen(place[-1] + path, timeout=10) as found:
            return found.status, found.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def until(what: Callable[[], bool], cluster: Cluster) -> None:
    """Wait for it.

    Raises:
        AssertionError: it never came, or a process ended.
    """
    give_up_s = time.monotonic() + PATIENCE_S
    while not what():
        assert not cluster.ended(), cluster.ended()
        assert time.monotonic() < give_up_s
        time.sleep(0.2)


def samples(cluster: Cluster, group: str, name: str) -> dict[str, float]:
    """The values of a metric, by its stream or version."""
    _, page = asked(cluster, "/metrics", group)
    return {
        sample.labels.get("stream") or sample.labels.get("version") or "": sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
def cluster(kafka: str, kafka_name: str, tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(kafka, kafka_name, tmp_path)
    yield found
    found.stop()


def test_probes_and_meters_of_one_that_works_and_one_that_stands_by(cluster: Cluster) -> None:
    def ready(instance: str, path: str = "/health/ready") -> tuple[int, dict[str, Any]]:
        status, body = asked(cluster, path, SCORE_PATH, instance)
        return status, json.loads(body) if body else {}

    cluster.start(SCORE_PATH, REST)
    until(lambda: ready("0")[0] == 200, cluster)
    cluster.start(SCORE_PATH, instance="1")
    until(lambda: bool(ready("1")[1].get("standby")), cluster)
    status, body = ready("1")
    assert status == 503 and "another instance has the work" in body["why"]
    assert ready("1", "/health/ready?standby=ok")[0] == 200
    assert ready("1", "/health/live")[0] == 200

    producing = Producing(cluster.address, cluster.name, half_hours(ROWS), 400.0)
    producing.start()
    producing.join()

    def count(group: str, name: str, stream: str) -> float:
        return samples(cluster, group, f"headrace_records_{name}_total").get(stream, 0)

    until(lambda: count(REST, "written", "outcomes") == ROWS, cluster)
    assert count(SCORE_PATH, "folded", "events") == ROWS
    assert count(SCORE_PATH, "written", "predictions") == ROWS
    until(lambda: samples(cluster, SCORE_PATH, "headrace_lag_records").get("events") == 0, cluster)
    until(lambda: bool(samples(cluster, SCORE_PATH, "headrace_served_model_info")), cluster)
    newest = samples(cluster, SCORE_PATH, "headrace_served_model_age_outcomes")[""]
    assert 0 <= newest < ROWS

    cluster.signal(signal.SIGKILL, SCORE_PATH, "0")
    del cluster.running["validator+featurizer+scorer.0"]
    until(lambda: ready("1")[0] == 200, cluster)
    assert set(cluster.stop().values()) == {0}
