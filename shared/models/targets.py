"""Categories as what their labels were so far: smoothed, decayed means of the labels that had come.

Ordered target statistics (Prokhorenkova et al. 2018, CatBoost): an event is encoded once, when it is
predicted, from labels that had arrived by then, and is learned from as it was encoded then; so its own
label, or a later one, is in none of its features, neither when serving nor when training.
"""

from collections.abc import Sequence

import numpy as np

from shared.models.gaps import LARGEST
from shared.models.port import F64, Arrays, Labels, State, Task

MEMORY, PRIOR_MEMORY = 200.0, 1_000.0
"""Labels, of a category and of all: a mean's newest label counts for at least one part in so many."""
MOST = 4_096
"""Categories of a field that are known; beyond it the one whose newest label is oldest is forgotten."""
_ENTRY_BYTES = 200
"""Of a category, about: a place in a dictionary, a list; and 32 for each number in it."""

Entry = list[float]
"""How many labels, at most the memory; then their means."""


class Targets:
    """Encodes f fields of category codes in w columns each: the mean label, or (multiclass) the share
    of each of the first `n_classes` classes; of two classes the share of the second.

    A category with n labels counts (n mean + smoothing prior) / (n + smoothing); the prior is the mean
    of all labels. One without a label is the prior; a missing one, and any before the first label, is
    missing. Memory: at most MOST categories a field.
    """

    def __init__(self, task: Task, n_classes: int, smoothing: Sequence[float]) -> None:
        self.width = n_classes if task == "multiclass" else 1
        self._regression, self._first = task == "regression", int(task == "binary")
        self._smoothing = list(smoothing)
        self._prior: Entry = [0.0] * (1 + self.width)
        self._known: list[dict[float, Entry]] = [{} for _ in smoothing]

    def encode(self, codes: F64) -> F64:
        """[n, f] codes (NaN: missing) as [n, f w] columns, a field's own side by side."""
        out = np.full((len(codes), len(self._known), self.width), np.nan)
        if self._prior[0]:
            prior = self._prior[1:]
            for field, (known, weight) in enumerate(
                zip(self._known, self._smoothing, strict=True)
            ):
                for row, code in enumerate(codes[:, field].tolist()):
                    if code == code:
                        out[row, field] = _smoothed(known.get(code), prior, weight)
        return out.reshape(len(codes), -1)

    def learn_many(self, codes: F64, y: Labels) -> None:
        """Labels that came, in order: class indices, or numbers."""
        for row, label in zip(codes.tolist(), y.tolist(), strict=True):
            said = self._said(label)
            _take(self._prior, said, PRIOR_MEMORY)
            for known, code in zip(self._known, row, strict=True):
                if code != code:
                    continue
                entry = known.pop(code, None) or [0.0] * (1 + self.width)
                _take(entry, said, MEMORY)
                known[code] = entry  # the newest is last
                if len(known) > MOST:
                    del known[next(iter(known))]

    def _said(self, label: float) -> list[float]:
        if self._regression:
            return [min(LARGEST, max(-LARGEST, label))]
        return [float(label == place) for place in range(self._first, self._first + self.width)]

    @property
    def memory_bound(self) -> int:
        """Bytes it holds at most, about."""
        return len(self._known) * MOST * (_ENTRY_BYTES + 32 * (1 + self.width))

    def snapshot(self) -> State:
        """The state as plain arrays; categories in the order of their newest labels."""
        state: State = {"prior": np.array(self._prior)}
        for field, known in enumerate(self._known):
            state[f"{field}/codes"] = np.array(list(known), np.float64)
            entries = np.array(list(known.values()), np.float64)
            state[f"{field}/entries"] = entries.reshape(len(known), 1 + self.width)
        return state

    def restore(self, arrays: Arrays) -> None:
        """Continue, bit for bit, where the snapshot was taken."""
        self._prior = arrays["prior"].tolist()
        self._known = [
            dict(
                zip(
                    arrays[f"{field}/codes"].tolist(),
                    arrays[f"{field}/entries"].tolist(),
                    strict=True,
                )
            )
            for field in range(len(self._known))
        ]


def _take(entry: Entry, said: Sequence[float], memory: float) -> None:
    """One label more: a running mean, then one that fades."""
    n = entry[0] = min(entry[0] + 1.0, memory)
    for place, value in enumerate(said, 1):
        entry[place] += (value - entry[place]) / n


def _smoothed(entry: Entry | None, prior: Sequence[float], weight: float) -> Sequence[float]:
    if entry is None:
        return prior
    n = entry[0]
    return [
        (n * mean + weight * all_) / (n + weight)
        for mean, all_ in zip(entry[1:], prior, strict=True)
    ]
