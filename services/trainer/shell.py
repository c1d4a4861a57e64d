"""Where fits run: beside the stream, in a process that can be killed; or, for tests, right here."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import msgspec

from services.trainer.backend import open_backend
from services.trainer.core import version_of
from services.trainer.request import Answer, FitRequest, FitResult, Task
from shared.durable import write_durably
from shared.errors import Fatal
from shared.messages.streams import JOBS
from shared.messages.types import Job
from shared.problem.spec import Problem
from shared.stage import Record

ReadOutcomes = Callable[[int, int], Sequence[bytes]]
"""Outcomes at offsets (start, end), as JSON."""

LIBRARIES = ("numpy", "numba", "scikit-learn")
RESULTS_KEPT = 100
"""Newest results on disk; an older one could be computed again from the log."""
_ROOT = Path(__file__).resolve().parents[2]
_CODE = ("services/trainer", "shared/models", "shared/evaluation")


class InlineTraining:
    """Fits in this process when the result is asked for; no limits. For tests."""

    def __init__(
        self, read_outcomes: ReadOutcomes, problem: Problem, features: Sequence[str] = ()
    ) -> None:
        self._read = read_outcomes
        self._problem = problem
        self._features = features or problem.model_names
        self._done: dict[bytes, FitResult] = {}

    def result(self, job: Job) -> Mapping[str, Any]:
        """See `shared.stage.Training`."""
        key = msgspec.json.encode(job)
        if key not in self._done:
            from services.trainer.fit import fit  # brings scikit-learn, which others need not pay

            outcomes = self._read(job.start, job.end)
            self._done[key] = fit(request_of(job, self._problem, self._features, outcomes))
        return msgspec.structs.asdict(self._done[key])


class BackgroundTraining:
    """Fits beside the stream, on a `TrainBackend`, under the budget's limits.

    `read_outcomes(start, end)` reads the log. Results are files in `directory`, named by the job's
    whole record; one that is there is never computed again, so replays agree, failed jobs included.
    `engine` is `HEADRACE_TRAIN_ENGINE`. `on_trained` is called from another thread with each job that
    is done (live running appends the control record `trained` then). As a follower of `jobs` it starts
    each requested job after its commit.

    Raises:
        UsageError: there is no such engine.
    """

    streams = (JOBS,)

    def __init__(
        self,
        directory: Path,
        read_outcomes: ReadOutcomes,
        problem: Problem,
        features: Sequence[str] = (),
        on_trained: Callable[[str], None] | None = None,
        engine: str = "local",
    ) -> None:
        self._directory = directory
        self._read = read_outcomes
        self._problem = problem
        self._features = features or problem.model_names
        self._on_trained = on_trained
        self._backend = open_backend(engine, directory, problem.task, self._take)
        self._changed = Condition()
        self._tasks: dict[str, Task] = {}
        self._errors: dict[str, str] = {}
        self._closing = False

    @property
    def cpu_seconds(self) -> float:
        """CPU that fits have used so far, as last reported."""
        return self._backend.cpu_seconds

    def position(self) -> dict[str, int]:
        """From the first job on: starting one again whose result is there does nothing."""
        return {}

    def follow(self, records: Sequence[Record]) -> None:
        """Start what was requested and is not over yet.

        A result that is there already is told again: who was told may have died before it stood on
        the log.
        """
        over = {r.value.job for r in records if r.value.state not in ("requested", "running")}
        for record in records:
            job: Job = record.value
            if job.state != "requested" or job.job in over:
                continue
            if self._path(job).exists() and self._on_trained is not None:
                Thread(target=self._on_trained, args=(job.job,), daemon=True).start()
            else:
                self.start(job)

    def start(self, job: Job) -> None:
        """Have `job` fitted, unless its result is there or under way."""
        path = self._path(job)
        with self._changed:
            if self._closing or path.exists() or path.name in self._tasks:
                return
        budget = self._problem.retraining.budget
        outcomes = self._read(job.start, job.end)
        request = request_of(job, self._problem, self._features, outcomes)
        task = Task(
            job=path.name,
            name=job.job,
            request=str(path.with_suffix(".request")),
            result=str(path),
            log=str(self._directory / "worker.log"),
            seconds=budget.seconds,
            memory_mb=budget.memory_mb,
        )
        write_durably(Path(task.request), msgspec.msgpack.encode(request))
        with self._changed:
            self._tasks[task.job] = task
        self._backend.submit(task)

    def result(self, job: Job) -> Mapping[str, Any]:
        """See `shared.stage.Training`.

        Raises:
            Fatal: the result cannot be written down (a full disk), or the training is closed.
        """
        path = self._path(job)
        self.start(job)
        with self._changed:
            self._changed.wait_for(lambda: path.name not in self._tasks or self._closing)
            if error := self._errors.pop(path.name, ""):
                raise Fatal(error)
            if not path.exists():
                raise Fatal(f"{job.job} was broken off because the run is ending; start it again")
        return msgspec.structs.asdict(msgspec.msgpack.decode(path.read_bytes(), type=FitResult))

    def close(self) -> None:
        """Drop a fit that is under way; it is done anew at the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._backend.close()

    def _path(self, job: Job) -> Path:
        """One file a record: another job of the same name has another."""
        return self._directory / f"{sha256(msgspec.json.encode(job)).hexdigest()[:24]}.result"

    def _take(self, answer: Answer) -> None:
        with self._changed:
            task = self._tasks.pop(answer.job, None)
            if task is not None:
                Path(task.request).unlink(missing_ok=True)  # before anybody waiting goes on
            if answer.error:
                self._errors[answer.job] = answer.error
            self._changed.notify_all()
        if task is None:
            return
        self._prune()
        if self._on_trained is not None and not answer.error:
            self._on_trained(task.name)

    def _prune(self) -> None:
        results = sorted(self._directory.glob("*.result"), key=lambda path: path.stat().st_mtime)
        for path in results[:-RESULTS_KEPT]:
            path.unlink(missing_ok=True)


def request_of(
    job: Job, problem: Problem, features: Sequence[str], outcomes: Sequence[bytes]
) -> FitRequest:
    """Everything that decides the job's result, and what says later how it was made."""
    n_base, n_members = words_of(problem, len(features))
    return FitRequest(
        job=job,
        version=version_of(job),
        problem=problem.model_dump_json(),
        features=list(features),
        outcomes=list(outcomes),
        n_base=n_base,
        n_members=n_members,
        libraries={name: version(name) for name in LIBRARIES},
        code=code_digest(),
    )


def words_of(problem: Problem, n_features: int) -> tuple[int, int]:
    """How many base experts and how many members of a stacker speak at each event."""
    from shared.models.live import fresh, members_per_version  # brings compiled code

    pool = fresh(problem, n_features).pool
    return len(pool.bank.names), members_per_version(pool)


@cache
def code_digest() -> str:
    """SHA-256 over the source that decides a fit, file by file."""
    digest = sha256()
    for folder in _CODE:
        for path in sorted((_ROOT / folder).glob("*.py")):
            digest.update(f"{folder}/{path.name}\n".encode())
            digest.update(sha256(path.read_bytes()).digest())
    return digest.hexdigest()
