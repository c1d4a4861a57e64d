"""The loss of one published answer, in the declared metric."""

from collections.abc import Mapping
from math import log
from typing import Any

from shared.messages.labels import class_key

LEAST_PROBABILITY = 0.01
"""Log losses (in nats) are clipped here: one certain error must not decide alone."""


def loss(metric: str, label: Any, said: Any, probabilities: Any) -> float | None:
    """The loss of one answer in the declared metric; None where there is no answer to score."""
    if said is None or label is None:
        return None
    if metric == "accuracy":
        return float(class_key(said) != class_key(label))
    if metric == "log_loss":
        if not isinstance(probabilities, Mapping):
            return None
        p = probabilities.get(class_key(label), 0.0)
        return None if p is None else -log(max(float(p), LEAST_PROBABILITY))
    if not isinstance(said, int | float) or not isinstance(label, int | float):
        return None
    error = float(label) - float(said)
    return abs(error) if metric == "mae" else error * error
