"""The pool with retrained anchors on the course; what their fits cost is on its bill."""

from collections.abc import Callable

import numpy as np

from shared.bench.headrace_learner import HeadraceLearner, make_ready
from shared.bench.streams import Stream
from shared.evaluation.retraining.table import policy_of
from shared.models.anchors import anchor_from_sklearn
from shared.models.arrival import view_width
from shared.models.candidates import CANDIDATES
from shared.models.port import F64, Anchor
from shared.models.trees_anchor import compile_traversal
from shared.problem.search import ON_VIEW
from shared.problem.spec import Retraining
from shared.problem.triggers import OnGrowth

TRIED = ("boosting", f"{ON_VIEW}boosting")
_SPEC = Retraining()


def prepared(stream: Stream, seed: int) -> Callable[[], HeadraceLearner]:
    """Everything is imported and compiled by now."""
    make_ready(stream)
    compile_traversal()
    return lambda: AnchoredLearner(stream, seed)


class AnchoredLearner(HeadraceLearner):
    """The default pool, and boosting on the features and on the view.

    They are fitted anew on the newest labelled rows (`retraining.window`) whenever there are twice as
    many labels (`{on: growth}`), and join `retraining.effect_after` labels later. Both join, and the
    stacker chooses: no held-out rows are asked, and no contest.
    """

    def __init__(self, stream: Stream, seed: int) -> None:
        super().__init__(stream, seed)
        self._seed = seed
        self._policy = policy_of(OnGrowth(on="growth"))
        self._view = np.zeros((len(stream.x), view_width(stream.x.shape[1])), np.float16)
        self._coming: dict[int, dict[str, Anchor]] = {}

    def predict_many(self, start: int, end: int) -> F64:
        """What the champion publishes; how the events look now is what a later fit sees of them."""
        mean = super().predict_many(start, end)
        self._view[start:end] = self.kept[-1][2].arrival.view
        return mean

    def learn_many(self, start: int, end: int) -> None:
        """Learn; then fit what is asked for, and take in what was."""
        super().learn_many(start, end)
        for labels in range(start + 1, end + 1):
            if self._policy.outcome(labels, None) is not None:
                self._coming[labels + _SPEC.effect_after] = self._fitted(labels)
            if labels in self._coming:
                self._join(self._coming.pop(labels))

    def _fitted(self, labels: int) -> dict[str, Anchor]:
        rows, regression = slice(max(0, labels - _SPEC.window), labels), self.stream.regression
        y, n_classes = self.stream.y[rows], len(self.stream.classes)
        if not regression and len(np.unique(y)) < 2:
            return {}
        anchors = {}
        for name in TRIED:
            candidate = CANDIDATES[name]
            x = self._view[rows].astype(np.float64) if candidate.on_view else self.stream.x[rows]
            model = candidate.make(regression, self._seed, n_classes).fit(x, y)
            classes = () if regression else range(n_classes)
            anchors[f"{name}-{labels}"] = anchor_from_sklearn(model, classes, candidate.on_view)
        return anchors

    def _join(self, anchors: dict[str, Anchor]) -> None:
        """Promoted at once."""
        if anchors:
            before, version = self.pool.champion, next(iter(anchors))
            self.pool.add_version(version, anchors)
            self.pool.promote(version)
            self.pool.drop_version(before)
