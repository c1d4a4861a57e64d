"""The wheel holds all that runs, and runs in an environment where the repository is not."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/electricity"
EVENTS = 60


def told(*words: str | Path, cwd: Path, **environment: str) -> str:
    """Standard output of a command that ended well."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HEADRACE_"))}
    found = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=kept | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-2_000:]
    return found.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    told(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place, cwd=ROOT)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`headrace` in an environment of its own: the wheel, and beside it the libraries of this one."""
    place = tmp_path_factory.mktemp("clean")
    venv.create(place, with_pip=False, symlinks=True)
    (site,) = place.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # A line in a .pth file adds a folder without reading the .pth files there, so not this repository.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    script = place / "bin/headrace"
    script.write_text(
        f"#!{place}/bin/python\nimport sys\nfrom services.__main__ import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    return script


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    words = ["git", "ls-files", "services", "shared"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = {name for name in listed.split() if (ROOT / name).exists()}
    held = set(zipfile.ZipFile(wheel).namelist())
    assert tracked and not tracked - held
    assert any(name.endswith(".html") for name in tracked)
    assert not any(name.startswith(("tests/", "examples/")) for name in held)
    entry = next(name for name in held if name.endswith("entry_points.txt"))
    text = zipfile.ZipFile(wheel).read(entry).decode()
    assert "headrace = services.__main__:main" in text


@pytest.mark.slow
def test_it_runs_from_another_directory(command: Path, tmp_path: Path) -> None:
    where = "import services, shared; print(services.__file__); print(shared.__file__)"
    for path in told(command.parent / "python", "-c", where, cwd=tmp_path).split():
        assert path.startswith(str(command.parents[1]))
    assert "serve" in told(command, "--help", cwd=tmp_path)
    events = tmp_path / "events.parquet"
    pq.write_table(pq.read_table(EXAMPLE / "electricity.parquet").slice(0, EVENTS), events)
    words = ["run", EXAMPLE / "problem.yaml", "--events", events, "--data-dir", "run", "--json"]
    # The kernels are compiled anew, so without optimising them: sixty events do not need it.
    kernels = {"NUMBA_OPT": "0", "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    said = told(command, *words, cwd=tmp_path, OMP_NUM_THREADS="1", **kernels)
    summary = json.loads(said.splitlines()[-1])
    assert summary["events"] == summary["predictions"] == EVENTS
    page = "from services.console.pages import STATIC; print((STATIC / 'page.css').is_file())"
    assert told(command.parent / "python", "-c", page, cwd=tmp_path).strip() == "True"
