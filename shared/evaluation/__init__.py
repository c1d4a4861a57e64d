"""Figures, baselines and the tests that decide: pure functions and small states over outcomes.

`metrics.py` counts, `baselines.py` is what must be beaten, `paired.py` accepts a candidate offline,
`gate.py` promotes a challenger live.
"""

from shared.evaluation.gate import Gate, GateRule, GateState
from shared.evaluation.linear import Linear
from shared.evaluation.metrics import ClassMetrics, Figures, NumberMetrics, Window
from shared.evaluation.paired import Comparison, compare_losses

__all__ = [
    "ClassMetrics",
    "Comparison",
    "Figures",
    "Gate",
    "GateRule",
    "GateState",
    "Linear",
    "NumberMetrics",
    "Window",
    "compare_losses",
]
