"""Finished cells of a bench, kept under what they depend on: a run that was broken off goes on."""

import json
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.durable import write_durably

_KEY_DIGITS = 16


class Kept:
    """JSON files in `directory` (None: none). A cell is named by its label and by a digest of
    the sources of `code`, of `versions`, and of its own data: changed, it is reckoned anew.
    """

    def __init__(
        self, directory: Path | None, code: Sequence[ModuleType], versions: dict[str, str]
    ) -> None:
        self._directory = directory
        self._stamp = json.dumps(versions, sort_keys=True).encode() + b"".join(
            path.read_bytes() for module in code for path in _sources(module)
        )

    def cell(
        self, label: str, data: Iterable[bytes], reckon: Callable[[], list[dict[str, Any]]]
    ) -> tuple[list[dict[str, Any]], bool]:
        """The rows of one cell, and whether they were there already.

        Raises:
            Fatal: the directory cannot be written.
        """
        if self._directory is None:
            return reckon(), False
        digest = sha256(self._stamp)
        for part in data:
            digest.update(part)
        path = self._directory / f"{label}-{digest.hexdigest()[:_KEY_DIGITS]}.json"
        if path.is_file():
            found: list[dict[str, Any]] = json.loads(path.read_bytes())
            return found, True
        rows = reckon()
        write_durably(path, json.dumps(rows).encode())
        return rows, False


def _sources(module: ModuleType) -> list[Path]:
    """The module's file; of a package all that lies directly in it."""
    path = Path(module.__file__ or "")
    return sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]
