"""Fits on a real Dask cluster whose workers are killed: none lost, none twice, all as in process.

`make dask-long`: 200 fits, kill -9 of a random worker every 5 seconds.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from services.trainer.shell import BackgroundTraining, InlineTraining
from shared.errors import Fatal, UsageError
from tests.kit.dask_cluster import DaskCluster
from tests.unit.trainer import world

pytestmark = pytest.mark.slow
LONG = os.environ.get("HEADRACE_DASK") == "long"
FITS, WORKERS, KILL_EVERY_S = (200, 3, 5.0) if LONG else (6, 2, 0.0)
ROWS = world.raw(world.outcomes(900))
SPEC = world.problem(retraining={"candidates": ["boosting", "logistic"]})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    made = DaskCluster(tmp_path_factory.mktemp("dask"), WORKERS)
    yield made
    made.close()


def _rows(start: int, end: int) -> list[bytes]:
    return ROWS[start:end]


def test_killed_workers_lose_nothing_and_double_nothing(
    cluster: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.trainer.shell.RESULTS_KEPT", FITS)
    told: list[str] = []
    training = BackgroundTraining(
        tmp_path / "jobs", _rows, SPEC, world.NAMES, told.append, f"dask://{cluster.address}"
    )
    jobs = [world.job(300 + number, number) for number in range(1, FITS + 1)]
    for job in jobs:
        training.start(job)
    rng = np.random.default_rng(7)
    began = last = time.monotonic()
    while len(told) < FITS:
        assert time.monotonic() - began < 60 * (120 if LONG else 5), (told, cluster.killed)
        time.sleep(0.05)
        assert not training._errors
        first = not LONG and told and not cluster.killed  # one kill, in the middle of the work
        if first or (LONG and time.monotonic() - last >= KILL_EVERY_S):
            cluster.kill(int(rng.integers(WORKERS)))
            last = time.monotonic()
    assert cluster.killed
    assert Counter(told) == Counter(job.job for job in jobs), "each is told once"
    inline = InlineTraining(_rows, SPEC, world.NAMES)
    for job in jobs:
        assert world.plain(training.result(job)) == world.plain(inline.result(job)), job.job
    assert len(list((tmp_path / "jobs").glob("*.result"))) == FITS
    assert not list((tmp_path / "jobs").glob("*.request"))
    assert training.cpu_seconds > 0
    training.close()
    print(f"{FITS} fits, {cluster.killed} kills, {last - began:.0f} s")  # noqa: T201


def test_a_limit_fails_the_job_there_too(cluster: DaskCluster, tmp_path: Path) -> None:
    spec = world.problem(retraining={"candidates": ["boosting"], "budget": {"seconds": 0.01}})
    training = BackgroundTraining(
        tmp_path, _rows, spec, world.NAMES, engine=f"dask://{cluster.address}"
    )
    assert "retraining.budget.seconds" in training.result(world.job(300))["reason"]
    training.close()


def test_without_a_scheduler_nothing_durable_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.trainer.dask_backend.CONNECT", "1s")
    training = BackgroundTraining(tmp_path, _rows, SPEC, world.NAMES, engine="dask://127.0.0.1:9")
    with pytest.raises(Fatal, match=r"job-0001 on dask://127.0.0.1:9"):
        training.result(world.job(300))
    assert not list(tmp_path.glob("*.result"))
    training.close()


@pytest.mark.parametrize("engine", ["dask", "dask://", "ray://somewhere"])
def test_an_engine_that_is_not_there_is_refused_at_the_start(engine: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="write local or dask://host:port"):
        BackgroundTraining(tmp_path, _rows, SPEC, world.NAMES, engine=engine)
