"""Drift: e-detectors over many series, the rules for source breaks, and the name of the cause.

Pure: no clock, no randomness beyond counters kept in the state. `port.py` says what a detector is,
`table.py` lists them, `combine.py` turns the evidence of many series into few alarms, `source.py`,
`unit.py` and `cause.py` say what broke.
"""

from shared.drift.categories import Categories
from shared.drift.cause import Cause, Finding, Verdict, name_cause
from shared.drift.combine import DEFAULT_BUDGET_EVENTS, Alarm, combine
from shared.drift.port import Detector
from shared.drift.ranks import Ranks
from shared.drift.rates import Rates
from shared.drift.source import FROZEN, WENT_LIVE, Constancy, Gap
from shared.drift.table import DETECTORS
from shared.drift.together import Together
from shared.drift.unit import UNITS, Unit, unit_change

__all__ = [
    "DEFAULT_BUDGET_EVENTS",
    "DETECTORS",
    "FROZEN",
    "UNITS",
    "WENT_LIVE",
    "Alarm",
    "Categories",
    "Cause",
    "Constancy",
    "Detector",
    "Finding",
    "Gap",
    "Ranks",
    "Rates",
    "Together",
    "Unit",
    "Verdict",
    "combine",
    "name_cause",
    "unit_change",
]
