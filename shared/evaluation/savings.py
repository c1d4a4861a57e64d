"""What a new champion saved over the one before it, on the live events that both answered."""

from typing import Any

import msgspec

from shared.evaluation.gate import half_width
from shared.evaluation.tally import Tally

ALPHA = 0.05
"""How often each end of the interval is wrong, at most."""


class _Saved(msgspec.Struct, array_like=True):
    n: int
    before: float
    numbers: list[float]


class Savings:
    """Sums of both losses, as they are: nothing is clipped, and no drift makes it forget.

    The interval is an asymptotic confidence sequence (arXiv 2103.06476) with the variance inflated by
    runs: the watch ends when a test says so, and a fixed interval would not be valid then.
    """

    def __init__(self) -> None:
        self._saved = Tally()
        self._before = 0.0

    def add(self, before: float, now: float) -> None:
        """The losses of one event: the champion's before, and the present one's."""
        self._before += before
        self._saved.add(before - now)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: `lost` by the new one, `lost_before` by the one before it, `saved` the
        difference with its interval (None without events), all summed over `pairs` events.
        """
        n, saved = self._saved.n, self._saved.total
        if not n:
            return {"pairs": 0, "saved": None, "low": None, "high": None}
        half = n * half_width(n / self._saved.kappa, self._saved.variance, ALPHA)
        return {
            "pairs": n,
            "lost": self._before - saved,
            "lost_before": self._before,
            "saved": saved,
            "low": saved - half,
            "high": saved + half,
        }

    def dump(self) -> bytes:
        """The whole state."""
        return msgspec.msgpack.encode(_Saved(self._saved.n, self._before, self._saved.numbers()))

    @classmethod
    def load(cls, data: bytes) -> "Savings":
        """Continue exactly where `dump` was."""
        saved, found = msgspec.msgpack.decode(data, type=_Saved), cls()
        found._before, found._saved = saved.before, Tally.of(saved.n, saved.numbers)
        return found
