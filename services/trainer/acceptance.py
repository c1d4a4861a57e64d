"""The last part of acceptance: the artefact as the scorer uses it, on the newest inputs once more."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from services.trainer.trials import PARITY
from shared.errors import UntrustedArtefact
from shared.models.anchors import seen_by
from shared.models.artefact import anchor_from_bytes
from shared.models.port import Anchor
from shared.problem.spec import Acceptance

F64 = npt.NDArray[np.float64]


def rehearsed(
    artefact: bytes, x: F64, view: F64, width: int, limits: Acceptance, cpu_s: Callable[[], float]
) -> tuple[dict[str, Any], str]:
    """Evidence for the board, and why it cannot serve (empty: it can).

    The bytes are opened as the scorer opens them; the served inputs `x` [n, d], or their `view` [n, W]
    where it sees that, are scored in one block, once more, and one by one, as a slow stream would. It
    must give `width` finite numbers each time, the same for the same input, within the limits on CPU
    time (`cpu_s` counts it) and memory.
    """
    try:
        anchor = anchor_from_bytes(artefact)
    except UntrustedArtefact as error:
        return {}, f"its artefact cannot be opened again: {error}"
    size_mb = sum(array.nbytes for array in anchor.snapshot().values()) / 1e6
    evidence: dict[str, Any] = {"replayed_rows": len(x), "model_mb": round(size_mb, 3)}
    if size_mb > limits.max_model_mb:
        return evidence, (
            f"it takes {size_mb:.1f} MB in every scorer; acceptance.max_model_mb allows "
            f"{limits.max_model_mb:g}"
        )
    x = seen_by(anchor, x, view)
    block = anchor.predict_many(x)  # compiles, too
    singly, took_s = _singly(anchor, x, cpu_s)
    evidence["one_row_seconds"] = took_s
    return evidence, _fault(anchor, x, block, singly, width) or _late(took_s, limits)


def _singly(anchor: Anchor, x: F64, cpu_s: Callable[[], float]) -> tuple[F64, float]:
    """[n, K], and CPU seconds a row."""
    started_s = cpu_s()
    rows = [anchor.predict_many(x[i : i + 1]) for i in range(len(x))]
    return np.concatenate(rows), (cpu_s() - started_s) / len(x)


def _fault(anchor: Anchor, x: F64, block: F64, singly: F64, width: int) -> str:
    if block.shape != (len(x), width):
        return f"it gives {block.shape[1:]} numbers an event, not {width}"
    if not np.isfinite(block).all():
        silent = int((~np.isfinite(block)).any(axis=1).sum())
        return f"it has no usable answer to {silent} of the newest {len(x)} events"
    if not np.array_equal(anchor.predict_many(x), block):
        return "it does not give the same answer to the same input"
    apart = float((np.abs(singly - block) / np.maximum(1.0, np.abs(block))).max(initial=0.0))
    if apart > PARITY:
        return f"its answer depends on what is scored with it (by {apart:.2g})"
    return ""


def _late(took_s: float, limits: Acceptance) -> str:
    if took_s * 1000 <= limits.max_latency_ms:
        return ""
    return (
        f"serving one event takes {took_s * 1000:.2f} ms of CPU; "
        f"acceptance.max_latency_ms allows {limits.max_latency_ms:g}"
    )
