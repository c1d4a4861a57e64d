"""A version as ONNX, where that says the same as what is served: a parity test decides.

Compared are the model's own rows, every seventh with holes: a converter that loses where missing values
go (skl2onnx does for forests) would answer otherwise the day one is missing.
"""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.models.artefact import anchor_from_bytes
from shared.registry.estimator import estimator_from_bytes

F64 = npt.NDArray[np.float64]

PARITY = 1e-5
"""Largest difference from the served numbers, relative to them beyond 1: ONNX computes in 32 bits."""
ROWS = 1_000
NEEDED = ("skl2onnx", "onnxruntime")


class NotExported(ValueError):
    """There is no ONNX form of this version; the text says why, and what to do where that helps."""


def onnx_form(estimator: bytes | None, artefact: bytes, x: F64, classes: Sequence[Any]) -> bytes:
    """The version's batch-trained part: an input `x` [n, d] (float32, NaN is missing), answers last.

    `estimator` and `artefact` are verified bytes; `x` rows of the model's own data.

    Raises:
        NotExported: parts are missing, a converter refuses, or the numbers differ.
    """
    if estimator is None:
        raise NotExported(
            "scikit-learn's object was not kept: set retraining.keep_estimator and train anew"
        )
    if any(find_spec(name) is None for name in NEEDED):
        raise NotExported("this needs pip install 'headrace[onnx]'")
    fitted = estimator_from_bytes(estimator)
    form = _converted(fitted, x.shape[1], regression=not classes)
    rows = x[-ROWS:].copy()
    rows[::7, :: max(1, rows.shape[1] // 3)] = np.nan
    theirs = anchor_from_bytes(artefact).predict_many(rows.astype(np.float32).astype(np.float64))
    mine = np.zeros_like(theirs)
    columns = np.asarray(fitted.classes_, np.int64) if classes else np.zeros(1, np.int64)
    mine[:, columns] = _answers(form, rows)
    apart = float((np.abs(mine - theirs) / np.maximum(1.0, np.abs(theirs))).max(initial=0.0))
    if not apart <= PARITY:
        raise NotExported(
            f"its numbers as ONNX differ from those served by {apart:.2g} ({PARITY:g} is allowed)"
        )
    return form


def _converted(fitted: Any, width: int, regression: bool) -> bytes:
    options = None if regression else {id(fitted): {"zipmap": False}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a converter's advice to its authors
            import skl2onnx
            from skl2onnx.common.data_types import FloatTensorType

            form = skl2onnx.to_onnx(
                fitted, initial_types=[("x", FloatTensorType([None, width]))], options=options
            )
    except Exception as error:  # a converter raises whatever it likes
        first = str(error).strip().split("\n", 1)[0][:200]
        raise NotExported(
            f"skl2onnx cannot convert it: {type(error).__name__}: {first}"
        ) from error
    done: bytes = form.SerializeToString()
    return done


def _answers(form: bytes, x: F64) -> F64:
    """Raises NotExported: ONNX Runtime cannot run it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(form, options, providers=["CPUExecutionProvider"])
        outputs = session.run(None, {"x": x.astype(np.float32)})
    except Exception as error:  # its own exceptions have no common public base
        raise NotExported(f"ONNX Runtime cannot run it: {str(error)[:200]}") from error
    return np.asarray(outputs[-1], np.float64).reshape(len(x), -1)
