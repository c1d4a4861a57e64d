"""Gaussian naive Bayes behind imputation and scaling, frozen."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from shared.models.port import F64
from shared.models.standardised import StandardisedAnchor, softmax


class BayesAnchor(StandardisedAnchor):
    """log p(class) + the sum over features of log N(z; centre, variance); `centre` [C, d]."""

    kind: ClassVar[str] = "naive Bayes"
    models = ("GaussianNB",)
    names = ("centre", "variance", "prior")
    centre: F64
    variance: F64
    prior: F64

    @classmethod
    def _carried(cls, steps: Sequence[Any], regression: bool) -> dict[str, Any]:
        model = steps[-1]
        return {"centre": model.theta_, "variance": model.var_, "prior": model.class_prior_}

    def _answers(self, z: F64) -> F64:
        scores = np.empty((len(z), len(self.prior)))
        for c, (centre, variance) in enumerate(zip(self.centre, self.variance, strict=True)):
            far = np.einsum("nd,d->n", (z - centre) ** 2, 1.0 / variance)
            size = np.sum(np.log(2.0 * np.pi * variance))
            scores[:, c] = np.log(self.prior[c]) - 0.5 * (far + size)
        return softmax(scores)
