"""A full disk stops the run cleanly, and it resumes without loss."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.runs import headrace, run_json, shortened

pytestmark = pytest.mark.slow
ROWS = 4_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB in memory; needs root and the right to mount."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("SKIPPED LOUDLY: mounting a small disk needs root")
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("SKIPPED LOUDLY: this machine does not let us mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_stops_it_cleanly_and_it_resumes(small_disk: Path, tmp_path: Path) -> None:
    problem = shortened(tmp_path, ROWS, retraining__triggers=[], model__snapshot_every=100_000)
    expected = run_json(problem, tmp_path / "elsewhere")
    full = headrace("run", problem, "--data-dir", small_disk / "data", "--json")
    assert full.returncode == 1, full.stdout
    assert "Traceback" not in full.stderr
    assert "room" in full.stderr or "Free some space" in full.stderr
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    resumed = run_json(problem, small_disk / "data")
    assert resumed["digest"] == expected["digest"]
    assert resumed["predictions"] == ROWS
