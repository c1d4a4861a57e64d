"""Where fits run: beside the stream, in a process that can be killed; or, for tests, right here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from services.trainer.core import version_of
from services.trainer.request import FitRequest, FitResult
from shared.features.feature_set import FeatureSet
from shared.messages.types import Job, Outcome
from shared.problem.spec import Problem

ReadOutcomes = Callable[[int, int], Sequence[Outcome]]


def request_of(
    job: Job, problem: Problem, features: Sequence[str], outcomes: Sequence[Outcome]
) -> FitRequest:
    """Everything that decides the job's result."""
    return FitRequest(
        job=job,
        version=version_of(job),
        problem=problem.model_dump_json(),
        features=list(features),
        outcomes=list(outcomes),
    )


class InlineTraining:
    """Fits in this process when the result is asked for; no limits. For tests."""

    def __init__(
        self, read_outcomes: ReadOutcomes, problem: Problem, features: Sequence[str] = ()
    ) -> None:
        self._read = read_outcomes
        self._problem = problem
        self._features = features or FeatureSet(problem).names
        self._done: dict[str, FitResult] = {}

    def start(self, job: Job) -> None:
        """Nothing to do ahead."""

    def result(self, job: Job) -> Mapping[str, Any]:
        """See `shared.stage.Training`."""
        if job.job not in self._done:
            from services.trainer.fit import fit  # noqa: PLC0415  brings scikit-learn with it

            outcomes = self._read(job.start, job.end)
            self._done[job.job] = fit(request_of(job, self._problem, self._features, outcomes))
        return msgspec.structs.asdict(self._done[job.job])

    def close(self) -> None:
        """Nothing to end."""
