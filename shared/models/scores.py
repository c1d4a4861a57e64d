"""From scores to probabilities."""

import math

from numba import njit

from shared.models.port import F64, FAST


@njit(cache=True, fastmath=FAST, inline="always")
def normalise(p: F64) -> None:
    """`p` [K] = softmax(p); less the largest first, so that nothing overflows."""
    top = -1e300
    for c in range(p.shape[0]):
        top = max(top, p[c])
    total = 0.0
    for c in range(p.shape[0]):
        p[c] = math.exp(p[c] - top)
        total += p[c]
    for c in range(p.shape[0]):
        p[c] /= total
