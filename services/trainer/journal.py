"""What a search has fitted so far, so that one that is broken off goes on where it was."""

import shutil
from pathlib import Path
from typing import Protocol

from shared.durable import write_durably


class Journal(Protocol):
    """Finished trials by a key that holds everything that decides them."""

    def get(self, key: str) -> bytes | None:
        """The trial, if it was finished."""
        ...

    def put(self, key: str, trial: bytes) -> None:
        """A trial was finished."""
        ...


class Directory:
    """One file a trial; it is written as a whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> bytes | None:
        """See `Journal`."""
        file = self._path / key
        return file.read_bytes() if file.exists() else None

    def put(self, key: str, trial: bytes) -> None:
        """See `Journal`."""
        write_durably(self._path / key, trial)

    def forget(self) -> None:
        """The job is over: its result holds what counts."""
        shutil.rmtree(self._path, ignore_errors=True)
