"""The same bytes whatever the batch size, the speed, or the crashes."""

import random
import signal
import time
from pathlib import Path

import pytest

from tests.kit.runs import headrace, run_json, shortened, start

ROWS = 2_500
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough for a job, its shadow and its decision."""
    return shortened(
        tmp_path_factory.mktemp("short"),
        ROWS,
        retraining__triggers=[{"on": "volume", "outcomes": 800}],
        retraining__cooldown=200,
        retraining__effect_after=100,
        model__snapshot_every=500,
    )


@pytest.fixture(scope="module")
def digest(problem: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    result = run_json(problem, tmp_path_factory.mktemp("first") / "data")
    assert result["predictions"] == ROWS
    assert any(job["state"] in ("accepted", "rejected") for job in result["jobs"])
    return str(result["digest"])


def test_twice_gives_the_same_bytes(problem: Path, digest: str, tmp_path: Path) -> None:
    assert run_json(problem, tmp_path / "data")["digest"] == digest


@pytest.mark.parametrize("size", ["1", "37", "5000"])
def test_any_batch_size_gives_the_same_bytes(
    problem: Path, digest: str, tmp_path: Path, size: str
) -> None:
    assert run_json(problem, tmp_path / "data", "--batch-size", size)["digest"] == digest


def test_a_paced_replay_gives_the_same_bytes(problem: Path, digest: str, tmp_path: Path) -> None:
    speed = f"{ROWS * 1800 / 8:.0f}x"  # about eight seconds
    assert run_json(problem, tmp_path / "data", "--speed", speed)["digest"] == digest


def test_kill_9_at_random_moments_and_a_restart_give_the_same_bytes(
    problem: Path, digest: str, tmp_path: Path
) -> None:
    moments = random.Random(7)
    for _ in range(4):
        child = start("run", problem, "--data-dir", tmp_path / "data", "--json")
        time.sleep(moments.uniform(2.0, 5.0))
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert run_json(problem, tmp_path / "data")["digest"] == digest


def test_a_second_run_on_the_same_directory_is_refused(problem: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = start("run", problem, "--data-dir", data, "--json", "--speed", "100x")
    try:
        deadline = time.monotonic() + 60
        while not (data / "log.db").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        second = headrace("run", problem, "--data-dir", data, "--json")
        assert second.returncode == 3
        assert "in use by another headrace process" in second.stderr
        assert "--data-dir" in second.stderr and "Traceback" not in second.stderr
    finally:
        first.terminate()
        first.communicate(timeout=60)
    assert first.returncode == 0
