"""Fits on the workers of a Dask cluster: one whole fit is one task.

A worker that dies takes nothing along: the scheduler gives its task to another one, and where it
gives up (it suspects a task after a few deaths) the task is submitted anew. A fit is a pure function of
its request, so doing one twice changes nothing, and its result is written down here, once. On the
worker the fit runs in a process of its own, under the same limits as here.
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import msgspec

from services.trainer.request import Answer, FitResult, Task, failed
from services.trainer.subprocess_backend import WorkerProcess
from shared.durable import write_durably
from shared.errors import Fatal

CONNECT = "30s"
SUBMISSIONS = 50
"""A task whose workers die so often (times the scheduler's own patience) is given up."""


class DaskWorkers:
    """See `TrainBackend`. `address`: host:port of the scheduler; connected with the first task."""

    def __init__(self, address: str, kind: str, done: Callable[[Answer], None]) -> None:
        self._address = address
        self._kind = kind
        self._done = done
        self._lock = Lock()
        self._client: Any = None
        self._futures: dict[str, Any] = {}
        self._closing = False
        self._cpu_seconds = 0.0

    @property
    def cpu_seconds(self) -> float:
        """CPU that the fits themselves have used."""
        return self._cpu_seconds

    def submit(self, task: Task) -> None:
        """See `TrainBackend`."""
        Thread(target=self._run, args=(task,), name="training", daemon=True).start()

    def close(self) -> None:
        """Take back what is under way, and leave the cluster."""
        with self._lock:
            self._closing = True
            client, self._client = self._client, None
            futures, self._futures = list(self._futures.values()), {}
        if client is None:
            return
        for future in futures:
            with suppress(Exception):  # the scheduler may be gone
                future.cancel()
        client.close(timeout=2)

    def _run(self, task: Task) -> None:
        """Wait for the fit, write it down, say so."""
        error = ""
        try:
            data = self._fitted(task)
            if data is None:
                return
            board = msgspec.msgpack.decode(data, type=FitResult).board
            write_durably(Path(task.result), data)
            with self._lock:
                self._cpu_seconds += board.get("fit_seconds", 0.0)
        except Exception as refused:  # noqa: BLE001  whoever waits must be told, whatever it was
            error = f"{task.name} on dask://{self._address}: {refused or type(refused).__name__}"
        if not self._closing:
            self._done(Answer(job=task.job, cpu_seconds=self.cpu_seconds, error=error))

    def _fitted(self, task: Task) -> bytes | None:
        """The result's bytes; None when we are closing.

        Raises:
            Fatal: the far side lacks something. OSError: no scheduler answers.
        """
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        request = Path(task.request).read_bytes()
        why: Exception | None = None
        for number in range(SUBMISSIONS):
            with self._lock:
                if self._closing:
                    return None
                future = self._connected().submit(
                    fit_there, request, self._kind, msgspec.to_builtins(task), pure=False,
                    key=f"headrace-fit-{task.job}-{number}", retries=0,
                )  # fmt: skip
                self._futures[task.job] = future
            try:
                data: bytes = future.result()
            except (KilledWorker, FutureCancelledError) as lost:
                why = lost
            except Exception as error:
                raise Fatal(f"its Dask worker cannot fit: {error!r}") from error
            else:
                return data
            finally:
                with self._lock:
                    self._futures.pop(task.job, None)
        told = f"the Dask workers that had the fit died {SUBMISSIONS} times: {why}"
        return msgspec.msgpack.encode(failed(told))

    def _connected(self) -> Any:
        from distributed import Client

        if self._client is None:
            connect: Any = Client  # untyped
            self._client = connect(
                f"tcp://{self._address}", timeout=CONNECT, set_as_default=False, name="headrace"
            )
        return self._client


def fit_there(request: bytes, kind: str, told: dict[str, Any]) -> bytes:
    """On a Dask worker: the result's bytes.

    Raises:
        RuntimeError: this machine cannot start a fit, or cannot write down its result.
    """
    return _fitting(kind).fit(request, msgspec.convert(told, Task))


@cache
def _fitting(kind: str) -> "_Fitting":
    return _Fitting(kind)


class _Fitting:
    """One worker process of ours inside a Dask worker, kept from fit to fit."""

    def __init__(self, kind: str) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="headrace-"))
        self._lock = Lock()
        self._over = Event()
        self._answer = Answer(cpu_seconds=0.0)
        self._process = WorkerProcess(self._directory, kind, self._take)

    def fit(self, request: bytes, task: Task) -> bytes:
        with self._lock:  # with several threads a Dask worker still fits one after another
            result = self._directory / Path(task.result).name
            asked, log = result.with_suffix(".request"), self._directory / "worker.log"
            asked.write_bytes(request)
            here = {"request": str(asked), "result": str(result), "log": str(log)}
            self._over.clear()
            self._process.submit(msgspec.structs.replace(task, **here))
            self._over.wait()
            try:
                if self._answer.error:
                    raise RuntimeError(self._answer.error)
                return result.read_bytes()
            finally:
                asked.unlink(missing_ok=True)
                result.unlink(missing_ok=True)

    def _take(self, answer: Answer) -> None:
        self._answer = answer
        self._over.set()
