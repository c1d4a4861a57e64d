"""Retraining in a real run: linear experts face a world that no line can follow, trees can."""

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from shared.models.artefact import anchor_from_bytes
from shared.registry.artefact import open_artefact
from shared.registry.manifest import parse_signed
from shared.registry.signing import Signer, Verifier
from tests.kit.runs import headrace, run_json, start

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
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "data"


@pytest.fixture(scope="module")
def result(problem: Path, data: Path) -> dict[str, Any]:
    return run_json(problem, data)


def test_trees_are_accepted_and_swapped_in(result: dict[str, Any]) -> None:
    first = result["jobs"][0]
    assert (first["job"], first["state"]) == ("job-0001", "accepted"), first
    assert "gain of +" in first["reason"]
    assert [swap["after"] for swap in result["swaps"]] == ["v2"]
    assert {job["state"] for job in result["jobs"][1:]} == {"rejected"}, "v2 is hard to beat"
    assert result["metrics"]["accuracy"] > result["baselines"]["linear"]["accuracy"] + 0.1


def _answered(*arguments: object, code: int = 0) -> str:
    done = headrace(*map(str, arguments))
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_a_version_is_rebuilt_to_the_same_bytes_and_its_story_is_told(
    problem: Path, data: Path, result: dict[str, Any]
) -> None:
    assert result["swaps"]
    where = ("--data-dir", data, "--json")
    row = json.loads(_answered("models", "rebuild", "v2", "--problem", problem, *where))
    assert row["equal"] and row["digest"] == row["rebuilt"]
    assert (row["code"], row["libraries"]) == ("the same", "the same")
    steps = json.loads(_answered("models", "compare", "v2", *where))
    told = [step["step"] for step in steps]
    assert told[:2] == ["job job-0001 requested", "job job-0001 accepted"]
    assert told[2:4] == ["shadow", "champion"]
    assert "new outcomes" in steps[0]["reason"]
    assert "no version v9" in _answered(
        "models", "rebuild", "v9", "--problem", problem, *where, code=2
    )
    assert "job-0001 is settled" in _answered("cancel", "job-0001", "--data-dir", data, code=2)
    assert "not trained by a job" in _answered("models", "export", "v1", *where,
                                               "--to", data / "x", code=2)  # fmt: skip


def test_an_export_is_what_was_signed_and_a_damaged_one_is_refused(
    data: Path, result: dict[str, Any], tmp_path: Path
) -> None:
    assert result["swaps"]
    to = tmp_path / "v2"
    _answered("models", "export", "v2", "--to", to, "--data-dir", data)
    manifest = parse_signed((to / "manifest.json").read_bytes())
    key = Signer((data / "keys" / "signing.pem").read_bytes())
    blob = (to / "model.arrays").read_bytes()
    anchor = open_artefact(blob, manifest, Verifier([key.public]), anchor_from_bytes)
    assert anchor.predict_many(np.zeros((1, 3))).shape == (1, 2)
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    (stored,) = copy.glob(f"blobs/**/{manifest['artefact']['digest']}*")
    stored.write_bytes(blob[:-1] + bytes([blob[-1] ^ 1]))
    refused = _answered(
        "models", "export", "v2", "--to", tmp_path / "no", "--data-dir", copy, code=1
    )
    assert "damaged" in refused
    assert not (tmp_path / "no").exists()


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
