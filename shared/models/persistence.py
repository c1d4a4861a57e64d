"""The newest known target: what nobody should be worse than."""

import numpy as np

from shared.models.port import F32, Expert, Labels, Rows


class Persistence(Expert):
    """One column: the last target learned (0 before the first)."""

    arrays = ("last",)

    def __init__(self, n_features: int, n_classes: int, seed: int) -> None:
        self.names = ("last-target",)
        self.last = np.zeros(1)

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """The last target."""
        out[:, first, 0] = self.last[0]

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """Keep the newest."""
        if len(y):
            self.last[0] = y[-1]
