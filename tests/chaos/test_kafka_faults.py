"""The electricity example on a real Kafka, in many processes, while everything is shot at.

`make chaos` runs the fast lane, `make chaos-long` (HEADRACE_CHAOS=long) the long one. The seed is
printed; HEADRACE_CHAOS_SEED repeats one. The report (what was injected, when, what was counted) is
written to `.cache/chaos/`.
"""

# isort: off
from tests.kit.kafka_broker import LEAKS, Broker, collected, fresh_broker, kafka_name
from tests.kit.redis_server import Server, redis_own
# isort: on

import json
import os
import random
import re
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.chaos.counting import counted, learned
from tests.chaos.programme import SCORE_PATH, Programme
from tests.kit.cluster import EACH, Cluster, Producing, Watching, accuracy, half_hours
from tests.kit.runs import ROOT, run_json, shortened
from tests.kit.servers import wait_for

__all__ = ["collected", "fresh_broker", "kafka_name", "redis_own"]
pytestmark = [pytest.mark.slow, *LEAKS]
SEED = int(os.environ.get("HEADRACE_CHAOS_SEED", "20261121"))
REPORTS = ROOT / ".cache" / "chaos"
SESSION_S, TRANSACTION_S = 6, 8
ROWS = 45_000
VIEW_PER_S = 3_000
"""Redis was emptied: the view is made anew from all predictions."""


@dataclass(frozen=True)
class Lane:
    """How much is shot at, and how hard: `kills` of each of `groups`, all before `events` have come."""

    name: str
    groups: tuple[str, ...]
    stateful: frozenset[str]
    per_s: float
    publish_every: int
    events: int
    within: float | None
    """Of the embedded run's accuracy; None: reported."""

    def kills(self, rng: random.Random) -> list[str]:
        """25 in all, each service in turn; in the long lane 200 of each that has state."""
        if self.name == "faults":
            return [s for _ in range(3) for s in rng.sample(self.groups, len(self.groups))][:25]
        found = []
        for n in range(200):
            doomed = [g for g in self.groups if g in self.stateful or n % 10 == 0]
            found += rng.sample(doomed, len(doomed))
        return found


FAST = Lane("faults", EACH, frozenset(), 12.0, 48, 0, 0.01)
"""Half-hours at 12 a second: ten seconds of standing still are two and a half days to the model."""
FUSED = ("validator,featurizer,scorer", "joiner,auditor,monitor,scheduler,judge,learner")
"""Each kill hits all services of a process: two hundred of each take an hour, not a night."""
LONG = Lane(
    "faults-long", (*FUSED, "collector,trainer,archiver,console"), frozenset(FUSED),
    per_s=300.0, publish_every=480, events=1_000_000, within=None,
)  # fmt: skip
"""At this pace an outage is a season to the model: its accuracy is a matter of the fast lane."""
LANE = LONG if os.environ.get("HEADRACE_CHAOS") == "long" else FAST


@pytest.fixture
def cluster(
    fresh_broker: Broker, redis_own: Server, kafka_name: str, tmp_path: Path
) -> Iterator[Cluster]:
    model = {"freshness": 24, "publish_every": LANE.publish_every}
    made = Cluster(
        fresh_broker.address, kafka_name, tmp_path,
        changes={"retraining": {"triggers": []}, "model": model},
        settings={"HEADRACE_ONLINE": redis_own.url},
    )  # fmt: skip
    made.start(*LANE.groups)
    yield made
    made.stop()


def test_nothing_is_lost_or_doubled_whatever_dies(
    cluster: Cluster, fresh_broker: Broker, redis_own: Server, tmp_path: Path
) -> None:
    sys.stderr.write(f"seed {SEED}\n")
    rng = random.Random(SEED)
    programme = Programme(cluster, SEED, score_path(LANE.groups))
    predictions = Watching(cluster.address, f"{cluster.name}.predictions")
    outcomes = Watching(cluster.address, f"{cluster.name}.outcomes")
    predictions.start()
    outcomes.start()
    rows = long_rows() if LANE is LONG else half_hours(ROWS)
    warm = Producing(cluster.address, cluster.name, rows[:100], LANE.per_s)
    warm.start()
    outcomes.wait(100, 120, cluster)
    producing = Producing(cluster.address, cluster.name, rows[100:], LANE.per_s)
    producing.start()
    outcomes.wait(200, 120, cluster)
    for service in LANE.kills(rng):
        time.sleep(rng.uniform(0.0, 0.5))
        programme.kill(service)
    for _ in range(4):
        paused = tuple(rng.sample(LANE.groups[:-1], min(3, len(LANE.groups) - 1)))
        programme.pause(paused, SESSION_S + 1 if rng.random() < 0.5 else TRANSACTION_S + 2)
    for how in rng.sample(["kill", "restart", "pause"] * 4, 12):
        programme.elsewhere(f"broker {how}", lambda how=how: _broker(fresh_broker, how))
    for fault in ("kill -9", "FLUSHALL", "SIGSTOP"):
        programme.elsewhere(f"redis {fault}", lambda fault=fault: _redis(redis_own, fault))
    while producing.sent + 100 < LANE.events and producing.is_alive():
        programme.kill(rng.choice(LANE.groups))
    producing.stop()
    sent = ids(rows, 100 + producing.sent)
    outcomes.wait(len(sent), 180)
    predictions.wait(len(sent), 30)
    time.sleep(1)
    found = counted(sent, predictions.messages, outcomes.messages)
    programme.report(REPORTS / f"{LANE.name}-{SEED}.json", {"counted": found})  # come what may
    current_s = 60 + len(sent) / VIEW_PER_S
    view = wait_for(
        lambda: _looked_up(cluster, sent[-1]), current_s, "the online view to be current"
    )
    assert view["prediction"]["id"] == sent[-1]
    predictions.stop()
    outcomes.stop()
    codes = cluster.stop()
    assert not producing.failed and set(codes.values()) <= {0}, codes
    found = counted(sent, predictions.messages, outcomes.messages)
    group = group_of("learner").replace(",", "+")
    saved, folded, learned_count = learned(
        cluster.address, cluster.name, cluster.problem, tmp_path / "data", group
    )
    same = tmp_path / "embedded"
    same.mkdir()
    embedded = run_json(shortened(same, min(ROWS, len(sent))), same / "data")
    report = programme.report(
        REPORTS / f"{LANE.name}-{SEED}.json",
        {
            "counted": found,
            "state_equals_fold": saved == folded,
            "labels_learned": learned_count,
            "accuracy": {
                "on_kafka": accuracy(outcomes.messages[:ROWS]),
                "embedded": embedded["metrics"]["accuracy"],
            },
        },
    )
    sys.stderr.write(
        f"{ {name: value for name, value in report.items() if name != 'injected'} }\n"
    )
    assert {n: c for n, c in found.items() if n not in ("sent", "predictions")} == {
        "lost": 0, "doubled": 0, "reordered": 0, "labels_lost": 0, "labels_doubled": 0,
    }  # fmt: skip
    assert report["state_equals_fold"]
    assert learned_count == len(sent)
    assert len(sent) >= LANE.events
    if LANE.within is not None:
        away = report["accuracy"]["on_kafka"] - report["accuracy"]["embedded"]
        assert abs(away) <= LANE.within


def group_of(service: str) -> str:
    """The group that holds it."""
    (found,) = (group for group in LANE.groups if service in group.split(","))
    return found


def score_path(groups: tuple[str, ...]) -> tuple[str, ...]:
    """The groups that hold a service of the score path."""
    return tuple(group for group in groups if set(group.split(",")) & set(SCORE_PATH))


def long_rows() -> list[tuple[bytes, bytes]]:
    """A million and more: the same half-hours again, four years on, under names of their own."""

    def later(text: bytes, n: int) -> bytes:
        text = re.sub(rb'"time": "(\d{4})', lambda y: b'"time": "%d' % (int(y[1]) + 4 * n), text)
        return text.replace(b'"nsw-', b'"%d-' % n, 1)

    once = half_hours(ROWS)
    return [(later(event, n), later(label, n)) for n in range(25) for event, label in once]


def ids(rows: list[tuple[bytes, bytes]], count: int) -> list[str]:
    return [json.loads(event)["id"] for event, _ in rows[:count]]


def _redis(redis: Server, fault: str) -> None:
    if fault == "FLUSHALL":
        Redis.from_url(redis.url).flushall()
    elif fault == "SIGSTOP":
        redis.kill(signal.SIGSTOP)
        time.sleep(SESSION_S)
        redis.kill(signal.SIGCONT)
    else:
        redis.kill()
        redis.start()


def _looked_up(cluster: Cluster, newest: str) -> dict[str, Any]:
    """What the console says of the entity, once its view is current and holds the newest event."""
    url = re.findall(r"http://\S+", cluster.said(group_of("console")))[-1]
    try:
        with urllib.request.urlopen(f"{url}/v1/entities/NSW", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
    except OSError:
        return {}
    current = found["view"]["state"] == "current" and found["prediction"]["id"] == newest
    return found if current else {}


def _broker(broker: Broker, how: str) -> None:
    if how == "pause":
        broker.kill(signal.SIGSTOP)
        time.sleep(TRANSACTION_S + 2)
        broker.kill(signal.SIGCONT)
        return
    broker.kill(signal.SIGKILL if how == "kill" else signal.SIGTERM)
    broker.start()
