"""Is the candidate better than the champion on held-back rows? One look, in time order.

The interval of the mean loss difference uses the long-run variance: the plain variance times the
largest inflation of block means, so runs of errors widen it.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

BLOCKS = (8, 32, 128, 512)
MIN_BLOCKS = 8


@dataclass(frozen=True, slots=True)
class Comparison:
    """Gain = mean(champion loss - candidate loss), with its two-sided interval and the verdict."""

    rows: int
    gain: float
    low: float
    high: float
    kappa: float
    confidence: float
    verdict: Literal["better", "worse", "undecided"]


def inflation(differences: F64) -> float:
    """max(1, b * var(block means) / var) over block lengths with at least 8 whole blocks."""
    variance = float(np.var(differences))
    worst = 1.0
    if variance <= 0:
        return worst
    for size in BLOCKS:
        k = len(differences) // size
        if k >= MIN_BLOCKS:
            means = differences[: k * size].reshape(k, size).mean(axis=1)
            worst = max(worst, size * float(np.var(means, ddof=1)) / variance)
    return worst


def compare_losses(
    champion: npt.ArrayLike, candidate: npt.ArrayLike, confidence: float = 0.9, least: float = 0.0
) -> Comparison:
    """Compare per-row losses of the same rows in time order.

    `better` needs the interval's lower end above `least`, `worse` its upper end below it. Rows where
    either loss is not finite are left out; fewer than 2 are `undecided`.

    Raises:
        ValueError: the arrays differ in length.
    """
    first, second = np.asarray(champion, np.float64), np.asarray(candidate, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"losses of the same rows are needed, got {first.shape} and {second.shape}"
        )
    finite = np.isfinite(first) & np.isfinite(second)
    d = first[finite] - second[finite]
    n = len(d)
    if n < 2:
        gain = float(d.mean()) if n else 0.0
        return Comparison(n, gain, -np.inf, np.inf, 1.0, confidence, "undecided")
    gain, kappa = float(d.mean()), inflation(d)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * float(
        np.sqrt(np.var(d, ddof=1) * kappa / n)
    )
    low, high = gain - half, gain + half
    verdict: Literal["better", "worse", "undecided"] = "undecided"
    if low > least:
        verdict = "better"
    elif high < least:
        verdict = "worse"
    return Comparison(n, gain, low, high, kappa, confidence, verdict)
