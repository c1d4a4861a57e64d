"""Fits in one worker process on this machine, one after another; it can be killed at any time."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread

import msgspec

from services.trainer.request import Answer, Task, failed
from shared.durable import write_durably
from shared.errors import HeadraceError
from shared.settings import inherited

ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
        "LOKY_MAX_CPU_COUNT",
    )
}  # fmt: skip
COMMAND = [sys.executable, "-P", "-m", "services.trainer.worker"]
_ROOT = Path(__file__).resolve().parents[2]
_CLOSE_SECONDS = 5


class WorkerProcess:
    """See `TrainBackend`. The worker starts with the first task (its imports take a second or two of
    CPU) and ends with `close`. If it ends unasked, what it had is failed, durably.
    """

    def __init__(self, directory: Path, kind: str, done: Callable[[Answer], None]) -> None:
        self._directory = directory
        self._kind = kind
        self._done = done
        self._lock = Lock()
        self._tasks: dict[str, Task] = {}
        self._worker: subprocess.Popen[bytes] | None = None
        self._closing = False
        self._cpu_before = 0.0
        self._cpu_seconds = 0.0

    @property
    def cpu_seconds(self) -> float:
        """CPU of all workers and their fits so far, as last reported."""
        return self._cpu_before + self._cpu_seconds

    def submit(self, task: Task) -> None:
        """See `TrainBackend`."""
        with self._lock:
            if self._closing:
                return
            self._tasks[task.job] = task
            if self._worker is None or self._worker.poll() is not None:
                self._worker = self._spawn()
            stdin = self._worker.stdin
            assert stdin is not None
            with suppress(BrokenPipeError):  # the listener sees the same end, and says so
                stdin.write(msgspec.json.encode(task) + b"\n")
                stdin.flush()

    def close(self) -> None:
        """End the worker, and what it is at."""
        with self._lock:
            self._closing = True
            worker, self._worker = self._worker, None
        if worker is None:
            return
        if worker.stdin is not None:
            with suppress(BrokenPipeError):
                worker.stdin.close()
        try:
            worker.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        """A new worker in a session of its own: Ctrl-C at the terminal is not for it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        environment = inherited()
        path = os.pathsep.join([str(_ROOT), environment.get("PYTHONPATH", "")])
        with (self._directory / "worker.log").open("wb") as log:
            worker = subprocess.Popen(  # noqa: S603  our own module, no shell
                [*COMMAND, self._kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**environment, **ONE_THREAD, "PYTHONPATH": path},
                start_new_session=True,
            )
        Thread(target=self._listen, args=(worker,), name="training", daemon=True).start()
        return worker

    def _listen(self, worker: subprocess.Popen[bytes]) -> None:
        """Take the worker's answers until it ends; if it ends unasked, what it had is failed."""
        assert worker.stdout is not None
        ready = False
        with worker.stdout:
            for line in worker.stdout:
                self._take(msgspec.json.decode(line, type=Answer))
                ready = True
        if worker.stdin is not None:
            with suppress(BrokenPipeError):
                worker.stdin.close()
        with self._lock:
            if self._closing:
                return
            lost = list(self._tasks.values())
            self._cpu_before, self._cpu_seconds = self.cpu_seconds, 0.0
        for task in lost:
            self._give_up(task, ready, f"(exit code {worker.wait()}; see {task.log})")

    def _give_up(self, task: Task, ready: bool, how: str) -> None:
        """A worker that cannot even start is no job's fault: then nothing durable is said of it."""
        error = "" if ready else f"the training process could not start {how}"
        try:
            if ready and not Path(task.result).exists():
                why = failed(f"the training process ended unasked {how}")
                write_durably(Path(task.result), msgspec.msgpack.encode(why))
        except (HeadraceError, OSError) as refused:  # told to whoever waits
            error = str(refused)
        self._take(Answer(job=task.job, cpu_seconds=0.0, error=error))

    def _take(self, answer: Answer) -> None:
        with self._lock:
            self._cpu_seconds = max(self._cpu_seconds, answer.cpu_seconds)
            known = self._tasks.pop(answer.job, None)
        if known is not None:
            self._done(answer)
