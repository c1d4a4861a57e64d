"""Quantiles and the number of distinct values over a sliding window, kept in order."""

from bisect import bisect_left, insort

from shared.features.past import Past

QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}


class Ordered:
    """The window's values in order, and how many differ. An event costs a binary search and a move
    within one array; memory is the window's. See `WindowState`.
    """

    __slots__ = ("_column", "_values", "boundary", "distinct", "low")

    def __init__(self, column: int) -> None:
        self.low = 0
        self.boundary = 0
        self.distinct = 0
        self._column = column
        self._values: list[float] = []

    def push(self, value: float) -> None:
        """Add the newest value."""
        place = bisect_left(self._values, value)
        self.distinct += place == len(self._values) or self._values[place] != value
        self._values.insert(place, value)

    def advance(self, past: Past, low: int) -> None:
        """Drop what lies before the ordinal `low`."""
        column = past.columns[self._column]
        for ordinal in range(self.low, low):
            value = column[ordinal - past.events]
            if value == value:
                place = bisect_left(self._values, value)
                del self._values[place]
                self.distinct -= place == len(self._values) or self._values[place] != value
        self.low = low

    def rebuild(self, past: Past) -> None:
        """See `WindowState`."""
        column = past.columns[self._column]
        values = [column[ordinal - past.events] for ordinal in range(self.low, past.events)]
        self._values = sorted(value for value in values if value == value)
        self.distinct = len(set(self._values))

    def quantile(self, share: float, beside: float | None) -> float | None:
        """Of the values, and of `beside`: between two of them in proportion (as pandas does)."""
        values = self._values
        if beside is not None:
            values = values.copy()
            insort(values, beside)
        if not values:
            return None
        place = (len(values) - 1) * share
        below = int(place)
        above = min(below + 1, len(values) - 1)
        return values[below] + (values[above] - values[below]) * (place - below)

    def differing(self, beside: float | None) -> int:
        """How many differ, of the values and of `beside`."""
        if beside is None:
            return self.distinct
        place = bisect_left(self._values, beside)
        return self.distinct + (place == len(self._values) or self._values[place] != beside)
