"""Known unit changes: did a series start to be reported in another unit?

Some 200 events after an alarm, 19 quantiles of the new values are mapped back through each known
`a x + b` and compared with the reference's. A unit is named where the new values lie far outside (mean
distance over 3 standard deviations) and the mapped ones lie near (below .25). Nearer changes by such
factors happen by themselves: on the electricity data demand and prices grow by 1.6 and 2.2.
"""

from dataclasses import dataclass

import numpy as np

from shared.drift.port import F64

LEAST_VALUES = 100
NEAR_SD = 0.25
FAR_SD = 3.0


@dataclass(frozen=True, slots=True)
class Unit:
    """New values are `a * old + b`."""

    name: str
    a: float
    b: float

    @property
    def inverse(self) -> "Unit":
        """The way back."""
        before, _, after = self.name.partition(" to ")
        name = f"{after} to {before}" if after else f"{self.name}, inverse"
        return Unit(name, 1 / self.a, -self.b / self.a)


_ONE_WAY = (
    Unit("Celsius to Fahrenheit", 1.8, 32.0),
    Unit("metres to feet", 3.28084, 0.0),
    Unit("kilograms to pounds", 2.20462, 0.0),
    Unit("kilometres to miles", 0.621371, 0.0),
    Unit("x to x * 10", 10.0, 0.0),
    Unit("x to x * 100", 100.0, 0.0),
    Unit("x to x * 1000", 1000.0, 0.0),
)
UNITS = (*_ONE_WAY, *(unit.inverse for unit in _ONE_WAY), Unit("sign reversed", -1.0, 0.0))
"""Every change that is looked for."""


def unit_change(reference: F64, recent: F64) -> Unit | None:
    """The unit change that explains `recent`, if one does; both are values without NaN."""
    if len(recent) < LEAST_VALUES or len(reference) < LEAST_VALUES:
        return None
    levels = np.arange(1, 20) / 20
    old = np.quantile(reference, levels)
    new = np.quantile(recent, levels)
    scale = float(np.std(reference))
    if scale <= 0:
        return None
    unmapped = float(np.mean(np.abs(new - old))) / scale
    if unmapped < FAR_SD:
        return None
    best, found = NEAR_SD, None
    for unit in UNITS:
        back = np.sort((new - unit.b) / unit.a)
        distance = float(np.mean(np.abs(back - old))) / scale
        if distance < best:
            best, found = distance, unit
    return found
