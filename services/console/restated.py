"""What was published, by the labels as they stand now: corrections and revocations are taken in.

Sums are whole numbers (fixed point), so they do not depend on the order in which labels came.
"""

from math import isfinite, sqrt

import msgspec

from services.console.scores import as_number, class_figures, said_class, surprise
from shared.messages.labels import class_key
from shared.messages.types import Outcome, Value

_ONE = 1 << 40
"""The fixed point's unit: an error of 2^-41 at most in each term."""


class Restated(msgspec.Struct):
    """Sums over the labels that stand."""

    n: int = 0
    pairs: dict[tuple[str, str], int] = {}
    surprise: int = 0
    rated: int = 0
    absolute: int = 0
    squared: int = 0

    def take(self, outcome: Outcome, regression: bool) -> None:
        """A first label, a correction, or a revocation (`label` None)."""
        count = self._number if regression else self._class
        if outcome.replaced is not None:
            count(outcome, outcome.replaced, -1)
        if outcome.label is not None:
            count(outcome, outcome.label, 1)

    def figures(self, regression: bool) -> dict[str, float]:
        """The figures by their names on the wire; empty while no label stands."""
        if not self.n:
            return {}
        if regression:
            mean_square = self.squared / _ONE / self.n
            return {"mae": self.absolute / _ONE / self.n, "rmse": sqrt(mean_square)}
        hits = sum(count for (label, said), count in self.pairs.items() if label == said)
        found = class_figures(self.pairs, self.n, hits)
        return found | ({"log_loss": self.surprise / _ONE / self.rated} if self.rated else {})

    def _class(self, outcome: Outcome, value: Value, sign: int) -> None:
        label = class_key(value)
        pair = label, said_class(outcome.prediction) or ""
        self.n += sign
        count = self.pairs.pop(pair, 0) + sign
        if count:
            self.pairs[pair] = count
        if outcome.probabilities is not None:
            self.rated += sign
            self.surprise += sign * round(surprise(outcome.probabilities.get(label, 0.0)) * _ONE)

    def _number(self, outcome: Outcome, value: Value, sign: int) -> None:
        error = as_number(value) - as_number(outcome.prediction)
        if isfinite(error) and isfinite(error * error):
            self.n += sign
            self.absolute += sign * round(abs(error) * _ONE)
            self.squared += sign * round(error * error * _ONE)
