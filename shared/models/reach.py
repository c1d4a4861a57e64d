"""How far a regressor may go: the range of the targets learned, and once more that on either side.

A model that is still finding its scale, or has lost it, can say anything at all (River's linear leaves
said 126,479,600 after one target of 253), and a mean weighs what it says. Twice the range is enough
for a trend.
"""

import numpy as np

from shared.models.port import F32, F64, Arrays, State


class Reach:
    """The least and the largest target. Memory: two numbers."""

    def __init__(self) -> None:
        self._range = np.array([np.inf, -np.inf])

    def learn_many(self, y: F64) -> None:
        """Targets [n], finite."""
        if len(y):
            self._range[0] = min(self._range[0], y.min())
            self._range[1] = max(self._range[1], y.max())

    def cut(self, said: F32) -> None:
        """Bring answers within reach, in place; before the first target anything is."""
        least, largest = self._range
        if least <= largest:
            slack = largest - least
            np.clip(said, least - slack, largest + slack, out=said)

    def snapshot(self) -> State:
        """A copy of the state."""
        return {"range": self._range.copy()}

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        self._range = np.array(arrays["range"], np.float64)
