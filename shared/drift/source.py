"""Source breaks: rules that need no budget because the thing they see is nearly impossible by chance.

`Constancy`: a value repeats far longer than it ever did (frozen), or a column constant for 500 values
and more starts to move (went live). `Gap`: something regular stopped coming (labels, events).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.drift.port import F64, I64, Arrays
from shared.drift.state import copied, loaded, packed

FROZEN, WENT_LIVE = 1, 2
WARM_UP = 500


class ConstancyState(NamedTuple):
    """All [p]. `repeats` counts values equal to the one before; `held`: this freeze was reported."""

    last: F64
    seen: I64
    run: I64
    longest: I64
    repeats: I64
    constant: npt.NDArray[np.bool_]
    held: npt.NDArray[np.bool_]


@njit(cache=True)
def _frozen(j: int, s: ConstancyState, log_budget: float) -> bool:
    """Run > 2 x the longest earlier one + log(pB) / -log(repeat rate)."""
    rate = (s.repeats[j] + 1.0) / (s.seen[j] + 2.0)
    return bool(s.run[j] > 2 * s.longest[j] + log_budget / -np.log(rate))


@njit(cache=True)
def update_constancy(row: F64, s: ConstancyState, log_budget: float, out: I64) -> int:
    """One event; `out` [p] gets 0, FROZEN or WENT_LIVE. Returns how many are not 0."""
    found = 0
    for j in range(row.shape[0]):
        out[j] = 0
        x = row[j]
        if np.isnan(x):
            continue
        same = s.seen[j] > 0 and x == s.last[j]
        s.last[j] = x
        s.seen[j] += 1
        if same:
            s.run[j] += 1
        elif s.constant[j]:
            out[j] = WENT_LIVE
            s.constant[j] = False
            s.seen[j] = 1
            s.run[j] = s.repeats[j] = s.longest[j] = 0
        else:
            if not s.held[j]:
                s.longest[j] = max(s.longest[j], s.run[j])
            s.held[j] = False
            s.run[j] = 0
        if same and not s.held[j]:
            if s.seen[j] > WARM_UP and not s.constant[j] and _frozen(j, s, log_budget):
                out[j] = FROZEN
                s.held[j] = True
            else:
                s.repeats[j] += 1
        if s.seen[j] == WARM_UP:
            s.constant[j] = s.run[j] == WARM_UP - 1
        found += out[j] != 0
    return found


class Constancy:
    """Frozen and went-live over p series. The first 500 values of a series are only learned from."""

    def __init__(self, n_series: int, budget_events: float = 100_000.0) -> None:
        p = n_series
        log_budget = float(np.log(p * budget_events)) if p else 0.0
        self.found = np.zeros(p, np.int64)
        """[p] what the last row showed: 0, `FROZEN` or `WENT_LIVE`."""
        state = ConstancyState(
            last=np.zeros(p),
            seen=np.zeros(p, np.int64),
            run=np.zeros(p, np.int64),
            longest=np.zeros(p, np.int64),
            repeats=np.zeros(p, np.int64),
            constant=np.zeros(p, np.bool_),
            held=np.zeros(p, np.bool_),
        )
        self._state, block = packed(state)
        self.arguments = (block, log_budget, self.found)
        """What `update_constancy` takes after the row."""

    @property
    def run(self) -> I64:
        """[p] how many times the last value has been repeated."""
        return self._state.run

    @property
    def frozen(self) -> npt.NDArray[np.bool_]:
        """[p] series whose reported freeze goes on."""
        return self._state.held

    def update(self, row: F64) -> bool:
        """Take `row` [p] (NaN: no value); True if `found` holds anything."""
        return bool(update_constancy(row, *self.arguments))

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """Copies of the state."""
        return copied(self._state)

    def restore(self, arrays: Arrays) -> None:
        """Continue exactly; see `Detector.restore`."""
        loaded(self._state, arrays, "Constancy")


class Gap:
    """Something that comes again and again (labels) stopped: counted in other events (predictions).

    Fires once a gap, when it is longer than `limit`; by default longer than 200 and twice the longest
    gap so far. Before the first arrival nothing is known of the usual gap, so only a given `limit`
    fires. A gap that fired does not raise the bar.
    """

    LEAST = 200

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._longest = -1
        self.waiting = 0
        """Events since the last arrival."""
        self.fired = False

    def event(self) -> bool:
        """One more event without the arrival; True when the gap just became too long."""
        self.waiting += 1
        if self.fired:
            return False
        limit = self._limit
        if limit is None:
            if self._longest < 0:
                return False
            limit = max(self.LEAST, 2 * self._longest)
        self.fired = self.waiting > limit
        return self.fired

    def arrived(self) -> bool:
        """It came; True if that ends a gap that had fired."""
        ended = self.fired
        if not ended:
            self._longest = max(self._longest, self.waiting)
        self.waiting, self.fired = 0, False
        return ended

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """The state as one array."""
        return {"gap": np.array([self._longest, self.waiting, self.fired], np.int64)}

    def restore(self, arrays: Arrays) -> None:
        """Continue exactly."""
        longest, waiting, fired = (int(v) for v in arrays["gap"].astype(np.int64))
        self._longest, self.waiting, self.fired = longest, waiting, bool(fired)
