"""The worker process: limits, crashes, restarts. Workers are shared: each costs seconds of imports."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.trainer import subprocess_backend
from services.trainer.shell import BackgroundTraining, InlineTraining
from shared.errors import Fatal
from shared.messages.streams import JOBS
from shared.messages.types import Job
from shared.stage import Record
from tests.unit.trainer import world

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
ROWS = world.raw(world.outcomes(900))
FAST = {"candidates": ["boosting"], "keep_estimator": True}


def _training(directory: Path, retraining: Any = FAST, **options: Any) -> BackgroundTraining:
    return BackgroundTraining(
        directory, lambda start, end: ROWS[start:end], world.problem(retraining=retraining),
        world.NAMES, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackgroundTraining]:
    local = _training(tmp_path_factory.mktemp("jobs"))
    yield local
    local.close()


def test_the_same_result_as_in_process(training: BackgroundTraining) -> None:
    there = dict(training.result(world.job(300)))
    here = dict(
        InlineTraining(
            lambda start, end: ROWS[start:end], world.problem(retraining=FAST), world.NAMES
        ).result(world.job(300))
    )
    assert there["estimator"]
    assert world.plain(there) == world.plain(here)
    assert training.cpu_seconds > 0


def test_a_result_is_computed_once_also_for_another_process(training: BackgroundTraining) -> None:
    job = world.job(320, 7)
    first = training.result(job)
    (path,) = [p for p in training._directory.glob("*.result") if p == training._path(job)]
    stamp = path.stat().st_mtime_ns
    training.start(job)
    assert training.result(job) == first
    other = BackgroundTraining(
        training._directory, _no_rows, world.problem(retraining=FAST), world.NAMES
    )
    assert other.result(job) == first
    assert path.stat().st_mtime_ns == stamp
    assert not list(training._directory.glob("*.request"))


def test_results_belong_to_the_whole_record(training: BackgroundTraining) -> None:
    assert training._path(world.job(300)) != training._path(world.job(301))


def _no_rows(start: int, end: int) -> list[Any]:
    raise AssertionError("nothing should be read again")


HOW = {
    "slow": "import time; time.sleep(60)",
    "large": "import numpy; numpy.ones((4096, 1024, 1024))",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "gone": "import os; os._exit(3)",
    "odd": "raise RuntimeError('odd')",
}
WORKER = """
from pathlib import Path
from services.trainer import worker
from shared.models import candidates
def make(regression, seed, n_classes):
    exec(Path({how!r}).read_text())
candidates.CANDIDATES["bad"] = candidates.Candidate("bad", make)
worker.main()
"""


class Crooked:
    """Training whose candidate `bad` does what `how` says."""

    def __init__(self, directory: Path) -> None:
        self.done: list[str] = []
        self._how = directory / "how.py"
        (directory / "worker.py").write_text(WORKER.format(how=str(self._how)))
        self.training = _training(directory / "jobs", on_trained=self.done.append)

    def how(self, name: str, **budget: Any) -> None:
        self._how.write_text(HOW[name])
        retraining = {"candidates": ["bad"], "budget": budget}
        self.training._problem = world.problem(retraining=retraining)


@pytest.fixture(scope="module")
def crooked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crooked]:
    directory = tmp_path_factory.mktemp("crooked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            subprocess_backend, "COMMAND", [sys.executable, "-P", str(directory / "worker.py")]
        )
        made = Crooked(directory)
        yield made
        made.training.close()


@pytest.mark.parametrize(
    ("number", "how", "budget", "words"),
    [
        (1, "slow", {"seconds": 0.5}, "stopped after 0.5 seconds (retraining.budget.seconds)"),
        (2, "large", {"memory_mb": 300}, "300 MB (retraining.budget.memory_mb)"),
        (3, "killed", {}, "SIGKILL"),
        (4, "gone", {}, "exit code 3"),
        (5, "odd", {}, "RuntimeError: odd"),
    ],
)
def test_limits_and_crashes_are_durable_failures(
    crooked: Crooked, number: int, how: str, budget: dict[str, float], words: str
) -> None:
    crooked.how(how, **budget)
    job = world.job(300, number)
    result = crooked.training.result(job)
    assert result["state"] == "failed"
    assert words in result["reason"]
    again = BackgroundTraining(crooked.training._directory, _no_rows, world.problem(), world.NAMES)
    assert again.result(job) == result, "a failure stays, so that replays agree"


def test_a_killed_worker_fails_what_it_had_and_closing_drops_what_runs(crooked: Crooked) -> None:
    training, first, second = crooked.training, world.job(310, 6), world.job(310, 7)
    crooked.how("slow")
    training.start(first)
    assert training._backend._worker is not None
    os.kill(training._backend._worker.pid, signal.SIGKILL)
    assert "ended unasked" in training.result(first)["reason"]
    assert set(crooked.done) >= {"job-0001", "job-0005"}
    training.start(second)
    pid = training._backend._worker.pid
    training.close()
    assert not training._path(second).exists(), "it is to be fitted anew"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(Fatal, match="broken off"):
        training.result(second)


def test_a_worker_that_cannot_start_leaves_no_durable_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        subprocess_backend, "COMMAND", [sys.executable, "-c", "raise SystemExit(5)"]
    )
    training = _training(tmp_path)
    with pytest.raises(Fatal, match="could not start"):
        training.result(world.job(300))
    assert not list(tmp_path.glob("*.result"))
    training.close()


def test_as_a_follower_it_starts_what_is_not_over(tmp_path: Path) -> None:
    started: list[str] = []
    training = _training(tmp_path)
    training.start = lambda job: started.append(job.job)  # type: ignore[method-assign]
    over = msgspec.structs.replace(world.job(300), state="rejected")
    records = [world.job(300), over, world.job(310, 2), *_running(world.job(310, 2))]
    training.follow([Record(JOBS, job, offset=i) for i, job in enumerate(records)])
    assert started == ["job-0002"]
    assert training.position() == {}


def _running(job: Job) -> list[Job]:
    return [msgspec.structs.replace(job, state="running")]


def test_a_result_that_nobody_wrote_down_is_told_again(tmp_path: Path) -> None:
    told: list[str] = []
    training = _training(tmp_path / "jobs", on_trained=told.append)
    job = world.job(300)
    path = training._path(job)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"done before the process died")
    training.follow([Record(JOBS, job)])
    until = time.monotonic() + 5
    while not told and time.monotonic() < until:
        time.sleep(0.01)
    training.close()
    assert told == [job.job]


@pytest.mark.slow
def test_a_worker_whose_run_dies_while_it_warms_up_ends() -> None:
    """On a busy machine compiling takes minutes: nobody must be left behind by then."""
    lines = ["import time", "from services.trainer import worker",
             "worker._warm_up = lambda task: (print(flush=True), time.sleep(60))",
             "worker.main()"]  # fmt: skip
    left = subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines), "binary"], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert left.stdin is not None and left.stdout is not None
    try:
        assert left.stdout.readline() == b"\n", "it is warming up"
        left.stdin.close()
        assert left.wait(30) == 0
        assert left.stdout.read() == b"", "it never said that it was ready"
    finally:
        left.kill()
        left.stdout.close()
