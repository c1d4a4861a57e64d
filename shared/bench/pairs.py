"""Where the pairs of contests come from: made up, or the losses of equal learners on real streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.bench.contests import Pairs
from shared.bench.streams import Stream

Draws = np.random.Generator
Losses = npt.NDArray[np.int8]

TREES = 3
DISCORDANCE = 0.2


@dataclass(frozen=True, slots=True)
class Independent:
    """Pairs that know nothing of each other: a share `discordance` differs, by `gain` on average."""

    discordance: float
    gain: float = 0.0

    def draw(self, contests: int, pairs: int, r: Draws) -> Pairs:
        """[contests, pairs]."""
        return _drawn(r.random((contests, pairs), np.float32), self.discordance, self.gain)


@dataclass(frozen=True, slots=True)
class Turns:
    """Equal on average, better by turns: by `gain`, then worse by it, for `length` pairs or so."""

    gain: float
    length: int

    def draw(self, contests: int, pairs: int, r: Draws) -> Pairs:
        """[contests, pairs]."""
        switches = r.random((contests, pairs), np.float32) < 1 / self.length
        odd = (switches.cumsum(axis=1) + r.integers(0, 2, (contests, 1))) % 2
        gain = np.where(odd == 1, self.gain, -self.gain)
        return _drawn(r.random((contests, pairs), np.float32), DISCORDANCE, gain)


@dataclass(frozen=True, slots=True)
class Equals:
    """Two of the `losses` [learners, rows] of equal learners, from anywhere on, champion and challenger
    changing places at random every `flip` pairs: neither is better, and the runs of errors stay.
    """

    losses: Losses
    flip: int

    def draw(self, contests: int, pairs: int, r: Draws) -> Pairs:
        """[contests, pairs]; a stream that is too short goes round."""
        twos = list(combinations(range(len(self.losses)), 2))
        rows = self.losses.shape[1]
        found = np.empty((contests, pairs), np.int8)
        for d in found:
            one, other = twos[int(r.integers(len(twos)))]
            places = (np.arange(pairs) + int(r.integers(rows))) % rows
            signs = r.choice(np.array([-1, 1], np.int8), pairs // self.flip + 1)
            d[:] = (self.losses[one] - self.losses[other])[places]
            d *= np.repeat(signs, self.flip)[:pairs]
        return found


def equal_losses(stream: Stream, seeds: Sequence[int]) -> Losses:
    """[seeds, rows] 0/1 losses, predict then learn, of small adaptive random forests (River's ARF).

    They differ in their seeds only, so none is better than another but by luck.
    """
    from river import forest

    rows: list[dict[int, float]] = [
        dict(enumerate(row)) for row in np.nan_to_num(stream.x).tolist()
    ]
    labels = stream.y.tolist()
    found = np.zeros((len(seeds), len(rows)), np.int8)
    for losses, seed in zip(found, seeds, strict=True):
        model: Any = forest.ARFClassifier(n_models=TREES, seed=seed)
        for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
            losses[place] = model.predict_one(row) != label
            model.learn_one(row, label)
    return found


def _drawn(u: npt.NDArray[np.float32], discordance: float, gain: Any) -> Pairs:
    return np.where(u < (discordance + gain) / 2, 1, np.where(u < discordance, -1, 0)).astype(
        np.int8
    )
