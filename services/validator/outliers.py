"""Outliers that are to be rejected: judged by the accepted past of the same key."""

from collections.abc import Mapping
from typing import Any

from shared.errors import Reject
from shared.features.moments import Moments
from shared.features.past import Past, Plan
from shared.problem.spec import Problem


class Outliers:
    """The fields with `outliers: reject`; what is remembered of each is in the key's past."""

    def __init__(self, problem: Problem, plan: Plan) -> None:
        self.fields = [
            (name, spec.outlier_limit, plan.fill(Moments()))
            for name, spec in problem.events.fields.items()
            if spec.outliers == "reject"
        ]

    def check(self, fields: Mapping[str, Any], past: Past | None) -> None:
        """Compare the numbers with the past.

        Raises:
            Reject: one is an outlier.
        """
        if past is None:
            return
        for name, limit, index in self.fields:
            value, known = fields[name], past.fills[index]
            if value is not None and known.fenced(float(value), limit) != value:
                raise Reject(
                    f"{name} is {value:g}, more than {limit:g} deviations ({known.deviation:.3g}) from "
                    f"the mean of its key's past ({known.mean:.3g})",
                    "outlier",
                    name,
                )

    def learn(self, fields: Mapping[str, Any], past: Past) -> None:
        """The event was accepted."""
        for name, _, index in self.fields:
            if fields[name] is not None:
                past.fills[index] = past.fills[index].with_value(float(fields[name]))
