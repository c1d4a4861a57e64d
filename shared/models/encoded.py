"""Features as a model sees them: beside each category's code, what its labels were so far."""

from collections.abc import Sequence

from shared.models.pool import Pool
from shared.models.port import Labels
from shared.models.rows import matrix
from shared.problem.spec import Problem

Row = dict[str, float | None]


class Encoded:
    """The names that `encode: target` gives: codes in, columns out, those of a field side by side.

    What an event is encoded as travels among the features of its prediction: learner and trainer read
    it there, and none makes it anew from what is known later.
    """

    def __init__(self, problem: Problem) -> None:
        fields = problem.by_target
        self.codes = tuple(spec.encoded(name)[0] for name, spec in fields.items())
        self.columns = problem.learned_names

    def rows(self, pool: Pool, features: Sequence[Row]) -> Sequence[Row]:
        """The features, and what `pool` knows of their categories now."""
        if pool.targets is None:
            return features
        found = pool.targets.encode(matrix(features, self.codes)).tolist()
        return [
            {**row, **{c: v if v == v else None for c, v in zip(self.columns, said, strict=True)}}
            for row, said in zip(features, found, strict=True)
        ]

    def learn(self, pool: Pool, features: Sequence[Row], y: Labels) -> None:
        """Labels that came, in order (class indices or numbers), of these features."""
        if pool.targets is not None:
            pool.targets.learn_many(matrix(features, self.codes), y)
