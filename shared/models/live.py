"""The model that is live, as the learner hands it to the scorer."""

from dataclasses import dataclass

from shared.messages.types import Value
from shared.models.pool import Pool
from shared.problem.spec import Problem


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
    )
    return LiveModel(pool, classes, 0)
