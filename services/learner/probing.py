"""Whether a verified anchor answers at all, before any event depends on it."""

import numpy as np

from shared.errors import UntrustedArtefact
from shared.models.port import Anchor

_PROBES = (0.0, np.nan, 1e6)
"""Values of all features at once: usual, missing, far out."""


def check_answers(anchor: Anchor, n_features: int, width: int) -> None:
    """Nothing happens when it gives `width` numbers for each of a few odd events.

    Raises:
        UntrustedArtefact: it fails, or its numbers are none (NaN, infinite).
    """
    x = np.array([np.full(n_features, value) for value in _PROBES])
    try:
        said = anchor.predict_many(x)
    except (ValueError, IndexError, ArithmeticError) as error:
        raise UntrustedArtefact(f"it fails on {n_features} features: {error}") from error
    if said.shape != (len(x), width):
        raise UntrustedArtefact(f"it gives {said.shape[1:]} numbers an event, not {width}")
    if not np.isfinite(said).all():
        raise UntrustedArtefact("it gives no usable answer (NaN or infinite)")
