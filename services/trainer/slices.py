"""Where a model is worst: in the parts of the events that the problem file declares, and on the rows
held back by feature, its values cut into quarters or classes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.evaluation import compare_losses

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SHOWN = 5
LEAST_ROWS = 30
"""A mean over fewer is noise."""
FEW_VALUES = 8
"""A feature with no more distinct values is sliced by value."""
MOST_FEATURES = 200


def worst_slices(x: F64, names: tuple[str, ...], loss: F64, beside: F64) -> list[dict[str, Any]]:
    """The slices of `x` [n, d] with the largest mean `loss` [n], worst first; one a feature.

    A slice of n rows is ranked by the lower end of its mean (one standard error below), so that a small
    one does not lead by chance. `beside`: the loss of the champion, for the same rows. Chosen among
    many, the figures are too bad to be true: look there, do not quote them.
    """
    found = []
    for column, name in enumerate(names[:MOST_FEATURES]):
        rows = [
            (float(loss[mask].mean() - loss[mask].std() / np.sqrt(mask.sum())), words, mask)
            for words, mask in _slices(x[:, column])
            if LEAST_ROWS <= mask.sum() < len(loss)
        ]
        if rows:
            rank, words, mask = max(rows, key=lambda row: row[0])
            found.append((rank, f"{name} {words}", mask))
    found.sort(key=lambda row: -row[0])
    return [
        {
            "slice": words,
            "n": int(mask.sum()),
            "loss": round(float(loss[mask].mean()), 6),
            "champion_loss": round(float(beside[mask].mean()), 6),
        }
        for _, words, mask in found[:SHOWN]
    ]


def _slices(values: F64) -> Iterator[tuple[str, Mask]]:
    missing = np.isnan(values)
    if missing.any():
        yield "is missing", missing
    there = values[~missing]
    if len(there) == 0:
        return
    distinct = np.unique(there)
    if len(distinct) <= FEW_VALUES:
        for value in distinct:
            yield f"= {value:g}", values == value
        return
    low, middle, high = np.quantile(there, [0.25, 0.5, 0.75])
    yield f"below {low:.4g}", values < low
    yield f"from {low:.4g} to {middle:.4g}", (values >= low) & (values < middle)
    yield f"from {middle:.4g} to {high:.4g}", (values >= middle) & (values < high)
    yield f"from {high:.4g}", values >= high


def declared_slices(
    inside: Mapping[str, Mask], who: str, loss: F64, confidence: float, least: int
) -> list[dict[str, Any]]:
    """The mean of `loss` [n] in each declared part (its mask [n]), the worst first, with its interval.

    Parts with fewer than `least` rows come last, without a figure. The parts were declared beforehand:
    unlike those of `worst_slices` their intervals hold, each for itself.
    """
    rows: list[tuple[float, dict[str, Any]]] = []
    for name, mask in inside.items():
        n = int(mask.sum())
        found: dict[str, Any] = {"who": who, "slice": name, "n": n, "loss": None}
        mean = -np.inf
        if n >= max(least, 2):
            c = compare_losses(loss[mask], np.zeros(n), confidence)
            mean = c.gain
            named = {"mean": c.gain, "low": c.low, "high": c.high}
            found["loss"] = {name: round(value, 6) for name, value in named.items()}
        rows.append((mean, found))
    return [found for _, found in sorted(rows, key=lambda row: -row[0])]
