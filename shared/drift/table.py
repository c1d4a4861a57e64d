"""The plug point: a new detector is one file and one line here; the contract suite runs over it."""

from collections.abc import Callable

from shared.drift.port import Detector
from shared.drift.ranks import Ranks
from shared.drift.rates import Rates

DETECTORS: dict[str, Callable[[int], Detector]] = {
    "ranks": Ranks,
    "rates": Rates,
    "rates_two_sided": lambda n_series: Rates(n_series, n_ref=1_000, two_sided=True),
}
"""Name to a factory: the number of series in, a fresh detector out."""
