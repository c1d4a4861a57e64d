"""The model that is live, as the learner hands it to the scorer."""

from dataclasses import dataclass

import numpy as np

from shared.messages.types import Value
from shared.models.pool import Pool
from shared.problem.spec import Problem

FIRST = "v1"
"""The version that starts from nothing."""


@dataclass(frozen=True, slots=True)
class LiveModel:
    """`pool` holds exactly the first `outcomes` outcomes; `classes` names its class columns.

    In a fused process it is the learner's own object, which changes only at freshness boundaries.
    """

    pool: Pool
    classes: tuple[Value, ...]
    outcomes: int


def fresh(problem: Problem, n_features: int) -> LiveModel:
    """The pool that knows nothing, `v1`: scorer and learner begin with equal ones."""
    classes = tuple(problem.label.classes or ())
    pool = Pool(
        problem.task,
        n_features,
        n_classes=max(2, len(classes)),
        seed=problem.model.seed,
        experts=problem.model.experts,
        version=FIRST,
        smoothing=[spec.smoothing for spec in problem.by_target.values()],
    )
    return LiveModel(pool, classes, 0)


def members_per_version(pool: Pool) -> int:
    """R, the members whose answers a stacker of this pool's task reports (`Verdict.members`)."""
    stacker = pool.versions[pool.champion]
    nothing = np.zeros((1, len(stacker.names), pool.n_classes), np.float32)
    return int(stacker.predict_many(nothing).members.shape[1])
