"""The policy of each trigger of the problem file."""

from collections.abc import Callable
from typing import Any

from shared.evaluation.retraining.cost import Cost
from shared.evaluation.retraining.plain import Drift, Growth, Performance, Schedule, Volume
from shared.evaluation.retraining.port import Policy
from shared.evaluation.retraining.votes import Votes
from shared.problem.triggers import (
    OnCost,
    OnDrift,
    OnGrowth,
    OnPerformance,
    OnSchedule,
    OnVolume,
    OnVotes,
    Trigger,
)

_POLICIES: dict[type, Callable[[Any], Policy]] = {
    OnVolume: Volume,
    OnGrowth: Growth,
    OnSchedule: Schedule,
    OnDrift: Drift,
    OnPerformance: Performance,
    OnCost: Cost,
    OnVotes: lambda spec: Votes([policy_of(one) for one in spec.among], spec.need, spec.within),
}


def policy_of(trigger: Trigger) -> Policy:
    """A fresh policy."""
    return _POLICIES[type(trigger)](trigger)
