"""Retraining in a real run: linear experts face a world that no line can follow, trees can."""

import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.kit.runs import run_json, start

pytestmark = pytest.mark.slow
ROWS = 3_000


def _problem(directory: Path, **retraining: Any) -> Path:
    """Do x0 and x1 have the same sign? One event a minute, labelled three minutes later."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, 3))
    frame = pd.DataFrame(x, columns=["x0", "x1", "x2"])
    frame["same"] = (x[:, 0] * x[:, 1] > 0).astype(int)
    frame["time"] = pd.date_range("2020-01-01", periods=ROWS, freq="min", tz="UTC")
    frame.to_parquet(directory / "signs.parquet")
    spec = {
        "name": "signs",
        "goal": "Say whether two numbers have the same sign.",
        "task": "binary",
        "source": {"path": "signs.parquet"},
        "events": {"time": "time", "fields": {f"x{i}": {"type": "number"} for i in range(3)}},
        "label": {"field": "same", "classes": [0, 1], "delay": "3m"},
        "model": {"experts": ["softmax"]},
        "retraining": {
            "triggers": [{"on": "volume", "outcomes": 700}],
            "cooldown": 100,
            "effect_after": 50,
            **retraining,
        },
        "promotion": {"min_pairs": 128},
    }
    target = directory / "problem.yaml"
    target.write_text(yaml.safe_dump(spec, sort_keys=False))
    return target


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _problem(tmp_path_factory.mktemp("signs"))


@pytest.fixture(scope="module")
def result(problem: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_json(problem, tmp_path_factory.mktemp("run") / "data")


def test_trees_are_accepted_and_swapped_in(result: dict[str, Any]) -> None:
    first = result["jobs"][0]
    assert (first["job"], first["state"]) == ("job-0001", "accepted"), first
    assert "gain of +" in first["reason"]
    assert [swap["after"] for swap in result["swaps"]] == ["v2"]
    assert {job["state"] for job in result["jobs"][1:]} == {"rejected"}, "v2 is hard to beat"
    assert result["metrics"]["accuracy"] > result["baselines"]["linear"]["accuracy"] + 0.1


def test_killed_while_it_trains_it_goes_on_to_the_same_bytes(
    problem: Path, result: dict[str, Any], tmp_path: Path
) -> None:
    child = start("run", problem, "--data-dir", tmp_path / "data", "--json")
    try:
        deadline = time.monotonic() + 120
        workers: list[int] = []
        while not workers:  # it is started with the first job, and has a second of imports to do
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(0.01)
            workers = _children(child.pid)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived the run that started it"
        time.sleep(0.05)
    assert run_json(problem, tmp_path / "data")["digest"] == result["digest"]


def test_a_job_over_its_limit_fails_visibly_and_nothing_else_does(tmp_path: Path) -> None:
    problem = _problem(tmp_path, budget={"seconds": 0.01})
    result = run_json(problem, tmp_path / "data")
    assert {job["state"] for job in result["jobs"]} == {"failed"}
    assert all("retraining.budget.seconds" in job["reason"] for job in result["jobs"])
    assert result["predictions"] == ROWS
    assert result["swaps"] == []


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    if not listed.exists():
        pytest.skip("no /proc here that names children")
    return [int(child) for child in listed.read_text().split()]
