"""A real Dask scheduler with real workers on loopback; workers that are killed are started anew."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__DASHBOARD__LINK": ""}


class DaskCluster:
    """Scheduler and `n` workers of one thread each, without nannies: whoever is killed is gone."""

    def __init__(self, directory: Path, n: int) -> None:
        self._directory = directory
        self._file = directory / "scheduler.json"
        self._log = (directory / "dask.log").open("wb")
        where = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
        self._scheduler = self._spawn("scheduler", *where)
        until = time.monotonic() + 120
        while not self._file.exists():
            assert time.monotonic() < until, (directory / "dask.log").read_text()
            assert self._scheduler.poll() is None, (directory / "dask.log").read_text()
            time.sleep(0.05)
        self.workers = [self._worker() for _ in range(n)]
        self.killed = 0

    @property
    def address(self) -> str:
        """host:port of the scheduler."""
        told: str = json.loads(self._file.read_text())["address"]
        return told.removeprefix("tcp://")

    def kill(self, place: int) -> None:
        """kill -9 of one worker; another one takes its place."""
        self.workers[place].kill()
        self.workers[place].wait()
        self.workers[place] = self._worker()
        self.killed += 1

    def close(self) -> None:
        """End what was started."""
        for process in (*self.workers, self._scheduler):
            process.kill()
            process.wait()
        self._log.close()

    def _worker(self) -> "subprocess.Popen[bytes]":
        place = ["--host", "127.0.0.1", "--local-directory", str(self._directory)]
        return self._spawn("worker", *place, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                           "--death-timeout", "60")  # fmt: skip

    def _spawn(self, role: str, *options: str) -> "subprocess.Popen[bytes]":
        command: list[Any] = [sys.executable, "-m", f"distributed.cli.dask_{role}", *options]
        command += ["--scheduler-file", self._file]
        return subprocess.Popen(
            command, cwd=self._directory, env=ENVIRONMENT, stdout=self._log, stderr=self._log
        )
