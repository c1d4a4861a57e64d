"""Whether a verified anchor answers at all, before any event depends on it."""

import numpy as np

from shared.errors import UntrustedArtefact
from shared.models.anchors import seen_by
from shared.models.arrival import view_width
from shared.models.port import F64, Anchor

_PROBES = (0.0, np.nan, 1e6)
"""Values of all features, or of all columns of the view, at once: usual, missing, far out."""


def check_answers(anchor: Anchor, n_features: int, width: int) -> None:
    """Nothing happens when it gives `width` numbers for each of a few odd events.

    Raises:
        UntrustedArtefact: it fails, or its numbers are none (NaN, infinite).
    """
    x, view = (_odd(n) for n in (n_features, view_width(n_features)))
    try:
        said = anchor.predict_many(seen_by(anchor, x, view))
    except (ValueError, IndexError, ArithmeticError) as error:
        raise UntrustedArtefact(f"it fails on {n_features} features: {error}") from error
    if said.shape != (len(x), width):
        raise UntrustedArtefact(f"it gives {said.shape[1:]} numbers an event, not {width}")
    if not np.isfinite(said).all():
        raise UntrustedArtefact("it gives no usable answer (NaN or infinite)")


def _odd(n: int) -> F64:
    return np.array([np.full(n, value) for value in _PROBES])
