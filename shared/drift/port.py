"""What a detector is: one object over a block of p series, fed one row an event.

Every detector here is a Shiryaev-Roberts e-detector (Shin, Ramdas & Rinaldo, arXiv 2203.03532): before
any change the expected evidence at a stopping time T is at most T. An alarm at "mean evidence of the p
series >= B" therefore has an expected run length of at least B events between false alarms, whatever
the dependence between the series (`combine.py`).
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Arrays = Mapping[str, npt.NDArray[np.generic]]


class Detector(Protocol):
    """Watches p series at once. Memory is bounded by p alone; nothing depends on calls or clocks.

    A NaN is "no value for this series now": the series stands still (missing values have their own
    0/1 series, see `Rates`). An infinity counts as a very large value.
    """

    @property
    def evidence(self) -> F64:
        """[p] the evidence of each series now; 0 while its reference is being collected."""
        ...

    def update(self, row: F64) -> float:
        """Take one value of each series, `row` [p] float64; returns the mean evidence."""
        ...

    def reset(self, series: Bool) -> None:
        """Forget the marked series, [p]: each takes a new reference from its next values."""
        ...

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """Copies of the whole state as plain arrays."""
        ...

    def restore(self, arrays: Arrays) -> None:
        """Continue exactly where the detector that made these arrays was.

        Raises:
            ValueError: the arrays are another detector's (a name missing, another shape).
        """
        ...
