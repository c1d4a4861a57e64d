"""scikit-learn objects through skops, for export: never pickle, and types from our own list only.

skops is no sandbox (CVE-2025-54412 and others): bytes are opened only after their digest and
signature were verified (`shared/registry/artefact.py`). What it writes holds addresses of objects and
the time; both are normalised, so that the same fit gives the same bytes.
"""

import io
import json
import zipfile
from typing import Any

import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from shared.errors import UntrustedArtefact

TRUSTED = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
)
"""Types beyond skops' own list that a fitted candidate needs; owned here, never read from a file."""
_THE_TIME = (1980, 1, 1, 0, 0, 0)
_ID = "__id__"


def estimator_to_bytes(estimator: Any) -> bytes:
    """A fitted estimator; the same fit gives the same bytes."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files.pop("schema.json"))
    numbers = _Numbers(files)
    schema = numbers.renamed(schema)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(numbers.files):
            _write(archive, name, numbers.files[name])
        _write(archive, "schema.json", json.dumps(schema, sort_keys=True).encode())
    return out.getvalue()


def estimator_from_bytes(data: bytes) -> Any:
    """The estimator of `estimator_to_bytes`. Call it on verified bytes only.

    Raises:
        UntrustedArtefact: it holds a type that is on nobody's list, or cannot be read.
    """
    try:
        return skops.io.loads(data, trusted=list(TRUSTED))
    except UntrustedTypesFoundException as error:
        raise UntrustedArtefact(f"not loaded: {error}") from error
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise UntrustedArtefact(f"this is no scikit-learn object: {error}") from error


class _Numbers:
    """Addresses become 0, 1, 2 in order of appearance, in the schema and in the names of files."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._old_files = files
        self._known: dict[int, int] = {}
        self.files: dict[str, bytes] = {}

    def renamed(self, node: Any) -> Any:
        """The schema with new numbers."""
        if isinstance(node, list):
            return [self.renamed(part) for part in node]
        if not isinstance(node, dict):
            return node
        number = self._number(node[_ID]) if isinstance(node.get(_ID), int) else None
        out = {key: self.renamed(value) for key, value in node.items()}
        if number is not None:
            out[_ID] = number
        name = node.get("file")
        if isinstance(name, str) and name in self._old_files:
            stem, dot, suffix = name.partition(".")
            old = int(stem) if stem.isdigit() else None
            new = name if old is None else f"{self._number(old)}{dot}{suffix}"
            self.files[new] = self._old_files[name]
            out["file"] = new
        return out

    def _number(self, old: int) -> int:
        return self._known.setdefault(old, len(self._known))


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _THE_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data, compresslevel=6)
