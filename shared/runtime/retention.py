"""Old records go once nothing can need them any more, so that the disk is bounded (DESIGN section 4).

Only streams that grow with the events are trimmed: decisions are few, and are the run's memory.
"""

from collections.abc import Callable, Iterable, Sequence

from shared.log.port import Log, LogReader, Position, advanced
from shared.messages.codec import decode
from shared.messages.streams import EVENTS, JOBS, LABELS, OUTCOMES, PREDICTIONS, REJECTED, Stream
from shared.messages.types import Job
from shared.problem.spec import Problem

GROWING = (EVENTS, LABELS, REJECTED, PREDICTIONS, OUTCOMES)
"""Streams that are trimmed."""
_UNDER_WAY = ("requested", "running")
_READ = 1_000


class Retention:
    """Keeps the newest `retention.records` of each growing place, and whatever is still needed.

    Needed is what replays read, what is not durably `held` outside (each gives, by place, the first
    offset that is not; a place it does not name is none of its concern), the datasets of jobs under
    way, and `retraining.window` outcomes for the next. Nothing goes where the problem file declares
    no number.
    """

    def __init__(self, problem: Problem, held: Sequence[Callable[[], Position]] = ()) -> None:
        self._records = problem.retention.records
        self._window = problem.retraining.window
        self._held = held

    def trim(self, log: Log, replayed: Iterable[Position]) -> None:
        """Trim `log`, on which replays begin at the positions `replayed`.

        Raises:
            Retryable, Fatal: as the log says; trimming again later makes up for it.
        """
        if self._records is None:
            return
        limits = [*replayed, *(held() for held in self._held)]
        limits += [{str(OUTCOMES): job.start} for job in _under_way(log)]
        for stream in GROWING:
            kept = max(self._records, self._window) if stream is OUTCOMES else self._records
            for name, end in log.ends(stream).items():
                before = min((limit.get(name, end) for limit in limits), default=end)
                before = min(before, end - kept)
                if before > 0:
                    log.trim(name, before)


def needed(log: LogReader, inputs: Iterable[Stream], checkpoint: Position) -> Position:
    """Where a replay from `checkpoint` begins, in every place of `inputs`."""
    return {name: checkpoint.get(name, 0) for stream in inputs for name in log.ends(stream)}


def _under_way(log: Log) -> list[Job]:
    """Jobs that are requested and not over: a replay may have to fit them again."""
    jobs: dict[str, Job] = {}
    position: Position = {}
    while records := log.read((JOBS,), position, _READ):
        for record in records:
            job: Job = decode(JOBS, record.value)
            jobs[job.job] = job
        position = advanced(position, records)
    return [job for job in jobs.values() if job.state in _UNDER_WAY]
