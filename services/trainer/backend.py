"""Where fits run: the port, and which one the settings name."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from services.trainer.request import Answer, Task
from services.trainer.subprocess_backend import WorkerProcess
from shared.errors import UsageError

Done = Callable[[Answer], None]


class TrainBackend(Protocol):
    """Runs whole fits elsewhere; made with the directory of the jobs, the problem's task and `done`.

    A fit reads `task.request` and leaves `task.result`, durably; then `done` is called once, from
    another thread. The same request gives the same result wherever it runs, but for `*_seconds`.
    """

    def submit(self, task: Task) -> None:
        """Have `task` fitted; at once, or after those before it."""
        ...

    def close(self) -> None:
        """Drop what runs, without a result and without `done`: it is fitted anew another time."""
        ...

    @property
    def cpu_seconds(self) -> float:
        """CPU that fits have used so far, as last reported."""
        ...


def open_backend(engine: str, directory: Path, kind: str, done: Done) -> TrainBackend:
    """What `HEADRACE_TRAIN_ENGINE` names: `local` or `dask://host:port`.

    Raises:
        UsageError: neither of them, or Dask is not installed.
    """
    if engine == "local":
        return WorkerProcess(directory, kind, done)
    scheme, _, address = engine.partition("://")
    if scheme != "dask" or not address:
        raise UsageError(f"HEADRACE_TRAIN_ENGINE={engine}: write local or dask://host:port")
    if find_spec("distributed") is None:
        raise UsageError(
            f"HEADRACE_TRAIN_ENGINE={engine} needs Dask here and on its workers: "
            "pip install 'headrace[dask]', or write local"
        )
    from services.trainer.dask_backend import DaskWorkers

    return DaskWorkers(address, kind, done)
