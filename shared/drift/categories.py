"""A categorical series as one two-sided 0/1 series a category; the mean over them is its evidence.

An average of e-detectors is one (Shin, Ramdas & Rinaldo), so a categorical counts as ONE series in a
budget, however many categories it has. A value outside the list is one more category.
"""

import numpy as np
import numpy.typing as npt

from shared.drift.port import F64, Arrays
from shared.drift.rates import Rates

WARM_UP = 1_000


class Categories:
    """Watches the shares of `categories` in one stream of values."""

    def __init__(self, categories: tuple[str, ...], n_ref: int = WARM_UP) -> None:
        self.categories = categories
        self._place = {name: i for i, name in enumerate(categories)}
        self._rates = Rates(len(categories) + 1, n_ref=n_ref, two_sided=True)
        self._row = np.zeros(len(categories) + 1)

    def update(self, value: str) -> float:
        """One value of the stream; returns its evidence (the mean over categories)."""
        place = self._place.get(value, len(self.categories))
        self._row[place] = 1.0
        evidence = self._rates.update(self._row)
        self._row[place] = 0.0
        return evidence

    def named(self) -> dict[str, float]:
        """Evidence by category; values outside the list are under `other`."""
        return dict(zip((*self.categories, "other"), self.evidence.tolist(), strict=True))

    @property
    def evidence(self) -> F64:
        """[categories + 1] evidence of each."""
        return self._rates.evidence

    def reset(self) -> None:
        """Start anew."""
        self._rates.reset(np.ones(len(self._row), np.bool_))

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """Copies of the state."""
        return self._rates.snapshot()

    def restore(self, arrays: Arrays) -> None:
        """Continue exactly; see `Detector.restore`."""
        self._rates.restore(arrays)
