"""A series of paired differences: mean, variance, and how much its runs inflate that variance."""

from collections.abc import Sequence

BLOCKS = (8, 32, 128, 512)
MIN_BLOCKS = 16


class Tally:
    """One number at a time; 15 numbers of state, whatever their count."""

    def __init__(self) -> None:
        self.n = 0
        self.total = 0.0
        self._squares = 0.0
        self._open = [0.0] * len(BLOCKS)
        self._sums = [0.0] * len(BLOCKS)
        self._block_squares = [0.0] * len(BLOCKS)

    def add(self, d: float) -> None:
        """The next one."""
        self.n += 1
        self.total += d
        self._squares += d * d
        for i, size in enumerate(BLOCKS):
            self._open[i] += d
            if self.n % size == 0:
                mean = self._open[i] / size
                self._sums[i] += mean
                self._block_squares[i] += mean * mean
                self._open[i] = 0.0

    @property
    def mean(self) -> float:
        """Of at least one number."""
        return self.total / self.n

    @property
    def variance(self) -> float:
        """Of single numbers."""
        mean = self.mean
        return max(self._squares / self.n - mean * mean, 1e-9)

    @property
    def kappa(self) -> float:
        """The variance of block means over what it were if the numbers were independent; at least 1."""
        worst = 1.0
        for i, size in enumerate(BLOCKS):
            k = self.n // size
            if k >= MIN_BLOCKS:
                between = self._block_squares[i] - self._sums[i] ** 2 / k
                worst = max(worst, size * between / (k - 1) / self.variance)
        return worst

    def numbers(self) -> list[float]:
        """The state but for `n`."""
        return [self.total, self._squares, *self._open, *self._sums, *self._block_squares]

    @classmethod
    def of(cls, n: int, numbers: Sequence[float]) -> "Tally":
        """Continue exactly."""
        tally, size = cls(), len(BLOCKS)
        tally.n, (tally.total, tally._squares) = n, numbers[:2]
        tally._open, tally._sums, tally._block_squares = (
            list(numbers[2 + i * size : 2 + (i + 1) * size]) for i in range(3)
        )
        return tally
