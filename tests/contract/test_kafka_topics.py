"""`topics create` and `status` on a real broker."""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, kafka, kafka_name
# isort: on

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.log.kafka_clients import Clients
from shared.log.kafka_log import KafkaLog
from shared.log.kafka_topics import PARTITIONED, topic
from shared.log.port import Append
from shared.messages.codec import encode
from shared.messages.streams import ALERTS, EVENTS, JOBS, REJECTED, Stream
from shared.messages.types import Alert, Job, Rejected
from shared.wiring import SHARED
from tests.kit.runs import ROOT, command, environment
from tests.kit.serving import small_problem
from tests.kit.toy import T0

__all__ = ["collected", "kafka", "kafka_name"]

pytestmark = LEAKS


@pytest.fixture
def said(kafka: str, kafka_name: str, tmp_path: Path) -> Any:
    """The real command against the broker: arguments to exit code, what it printed, its errors."""
    problem = small_problem().model_copy(update={"name": kafka_name})
    path = tmp_path / "problem.yaml"
    path.write_text(yaml.safe_dump(problem.model_dump(mode="json", exclude_defaults=True)))

    def run(*arguments: str) -> tuple[int, Any, str]:
        done = subprocess.run(
            [*command(*arguments), "--problem", str(path), "--json"], cwd=ROOT, text=True,
            env={**environment(), "HEADRACE_LOG": f"kafka://{kafka}"}, capture_output=True,
        )  # fmt: skip
        out = done.stdout.splitlines()
        return done.returncode, json.loads(out[-1]) if out else None, done.stderr

    return run


def test_missing_topics_are_created_and_others_left_alone(
    said: Any, kafka: str, kafka_name: str
) -> None:  # fmt: skip
    clients = Clients(kafka)
    with clients.admin() as admin:
        configs = {"retention.ms": "1000"}
        admin.create_topics({topic(kafka_name, ALERTS): {
            "num_partitions": 1, "replication_factor": 1, "configs": configs}})  # fmt: skip
    code, rows, error = said("topics", "create", "--partitions", "3", "--dry-run")
    assert code == 0, error
    assert {row["topic"] for row in rows if row["state"] == "there"} == {f"{kafka_name}.alerts"}
    code, rows, error = said("topics", "create", "--partitions", "3")
    assert code == 0, error
    found = {row["topic"]: row for row in rows}
    for stream in Stream:
        row = found[topic(kafka_name, stream)]
        assert row["state"] == ("there" if stream is ALERTS else "created")
        assert row["partitions"] == (3 if stream in PARTITIONED else 1)
        assert stream is ALERTS or row["differs"] == {}
    assert found[topic(kafka_name, ALERTS)]["differs"]["retention.ms"] == ["1000", "-1"]
    code, rows, _ = said("topics", "create", "--partitions", "2", "--replication", "3")
    found = {row["topic"]: row for row in rows}
    assert code == 0
    assert {row["state"] for row in rows} == {"there"}
    assert found[topic(kafka_name, EVENTS)]["differs"] == {
        "partitions": ["3", "2"], "replication": ["1", "3"],
    }  # fmt: skip


def test_status_tells_what_lags(said: Any, kafka: str, kafka_name: str) -> None:
    log = KafkaLog.opened(Clients(kafka), kafka_name, foreign=SHARED)
    alert = Alert(
        alert="a1", kind="k", cause="silence", severity="page", state="open", since=T0, time=T0,
        series="s",
    )  # fmt: skip
    job = Job(job="j1", state="requested", reason="r", trigger="t", time=T0)
    bad = Rejected(reason="no", check="json", raw="eA==", topic="t", partition=0, offset=3)
    with log.begin("inbox") as transaction:
        transaction.append([Append(EVENTS, b"{}")] * 5)
    assert len(log.read([EVENTS], {}, 5)) == 5
    with log.begin("run") as transaction:
        written = {ALERTS: alert, JOBS: job, REJECTED: bad}
        transaction.append(Append(stream, encode(value)) for stream, value in written.items())
        transaction.advance({"events": 2})
    try:
        code, status, error = said("status")
        assert code == 0, error
        assert status["open_alerts"] == ["a1"]
        assert status["jobs"] == {"j1": "requested"}
        assert status["records"]["alerts"] == 1
        standing = status["groups"]["run"]
        assert (standing["state"], standing["members"]) == ("Stable", 1)
        assert standing["lag"] == {"events": 4}  # three records, and the marker behind them
        assert said("alerts")[1][0]["alert"] == "a1"
        assert said("rejected", "list")[1]["by_check"] == {"json": 1}
    finally:
        log.close()
