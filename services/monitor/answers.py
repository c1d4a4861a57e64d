"""What is watched of the answers: errors or residuals, the mix of classes, the numbers said."""

from collections.abc import Iterable
from datetime import datetime
from math import sqrt

import msgspec
import numpy as np

from services.monitor.episodes import Found
from shared.drift import Categories, Detector, Ranks, Rates
from shared.messages.labels import class_key
from shared.messages.types import Outcome, Prediction, RankedFeature
from shared.problem.spec import Problem

RESIDUAL_REFERENCE = 1_000
ALLOWANCE_SD = 0.2
"""Rises smaller than this, in standard deviations of the loss, do not keep the `since` of an alarm."""
RECENT = 0.01
"""Weight of the newest outcome in the recent mean loss that an alert shows."""


class AnswerMoment(msgspec.Struct):
    """Scalars of the state. `loss`: the 0/1 or absolute error, its mean, mean square, recent mean.

    `cusum` is Page's sum of excess losses with an allowance; where it last was 0 a rise began.
    """

    model: str = ""
    outcomes: int = 0
    loss: float = 0.0
    square: float = 0.0
    recent: float = 0.0
    cusum: float = 0.0
    calm: datetime | None = None

    def take(self, loss: float, time: datetime) -> None:
        """One loss."""
        sd = sqrt(max(self.square - self.loss * self.loss, 0.0))
        self.cusum = max(0.0, self.cusum + loss - self.loss - ALLOWANCE_SD * sd)
        if self.cusum == 0.0:
            self.calm = time
        self.outcomes += 1
        self.loss += (loss - self.loss) / self.outcomes
        self.square += (loss * loss - self.square) / self.outcomes
        self.recent += max(RECENT, 1 / self.outcomes) * (loss - self.recent)


class Answers:
    """Detectors over one champion's answers; all start anew when the champion changes."""

    def __init__(self, problem: Problem) -> None:
        self.moment = AnswerMoment()
        self._regression = problem.task == "regression"
        self._budget = float(problem.drift.expected_run_length)
        self._error_budget = float(problem.drift.error_run_length)
        self._classes = tuple(class_key(c) for c in problem.label.classes or ())
        self._row = np.zeros(1)
        self._begin()

    def _begin(self) -> None:
        self._errors: Detector = Ranks(1, RESIDUAL_REFERENCE) if self._regression else Rates(1)
        self._said: Detector | Categories = (
            Ranks(1, RESIDUAL_REFERENCE) if self._regression else Categories(self._classes)
        )

    @property
    def parts(self) -> dict[str, Detector | Categories]:
        """What holds arrays, by name in the state."""
        return {"errors": self._errors, "said": self._said}

    def predicted(self, prediction: Prediction, time: datetime) -> Iterable[Found]:
        """One answer; one given in the champion's place is another version's."""
        if prediction.champion is not None:
            return ()
        if prediction.model != self.moment.model:
            self._begin()
            self.moment = AnswerMoment(model=prediction.model)
        said = prediction.prediction
        if isinstance(self._said, Categories):
            evidence = self._said.update(class_key(said))
        elif isinstance(said, int | float):
            self._row[0] = said
            evidence = self._said.update(self._row)
        else:
            return ()
        return (self._mix(evidence, time),) if evidence >= self._budget else ()

    def labelled(self, outcome: Outcome, time: datetime) -> Iterable[Found]:
        """One first label of this champion's answer; others are left out."""
        if outcome.model != self.moment.model or outcome.prediction is None:
            return ()
        error = self._error(outcome)
        if error is None:
            return ()
        self.moment.take(abs(error), time)
        self._row[0] = error
        evidence = self._errors.update(self._row)
        if evidence < self._error_budget:
            return ()
        self._errors.reset(np.ones(1, np.bool_))
        return (self._worse(evidence, time),)

    def _error(self, outcome: Outcome) -> float | None:
        if not self._regression:
            return float(class_key(outcome.label) != class_key(outcome.prediction))
        label, said = outcome.label, outcome.prediction
        if isinstance(label, int | float) and isinstance(said, int | float):
            return float(label) - float(said)
        return None

    def _worse(self, evidence: float, time: datetime) -> Found:
        m = self.moment
        what = "mean absolute error" if self._regression else "error rate"
        return Found(
            "errors", "errors", "concept_drift", "page", m.calm or time, (),
            {
                "mean_evidence": evidence, "budget_events": self._error_budget, "model": m.model,
                "loss": what, "loss_so_far": m.loss, "loss_recent": m.recent,
                "outcomes": m.outcomes,
            },
            f"{what} of {m.model} rose from {m.loss:.4g} to {m.recent:.4g}",
        )  # fmt: skip

    def _mix(self, evidence: float, time: datetime) -> Found:
        features: tuple[RankedFeature, ...] = ()
        if isinstance(self._said, Categories):
            named = sorted(self._said.named().items(), key=lambda item: -item[1])
            least = 0.01 * named[0][1]
            features = tuple(
                RankedFeature(f"prediction={n}", v, "its share changed")
                for n, v in named
                if v >= least
            )
            self._said.reset()
        else:
            self._said.reset(np.ones(1, np.bool_))
            features = (RankedFeature("prediction", evidence, "the numbers said changed"),)
        details = {"mean_evidence": evidence, "budget_events": self._budget}
        return Found("predictions", "predictions", "input_drift", "evidence", time, features, details,
                     "the mix of answers changed")  # fmt: skip
