"""Keeping the log and the blobs of several processes bounded: one of them looks at what all need."""

from collections.abc import Sequence

from services.archiver.shell import Archiver
from shared.errors import Retryable
from shared.log.port import Log, LogReader, Position
from shared.problem.spec import Problem
from shared.runtime.clock import elapsed_s
from shared.runtime.retention import Retention, needed
from shared.runtime.runner import IN_MEMORY
from shared.runtime.sweeping import Sweep
from shared.stage import Service

EVERY_S = 30.0


class Housekeeping:
    """The process with the archiver trims the log, the one with the learner sweeps the blobs.

    `reader` sees the checkpoints of every group. `sweep`: None where another process has the learner.
    """

    def __init__(
        self,
        problem: Problem,
        services: Sequence[Service],
        reader: LogReader,
        sweep: Sweep | None,
    ) -> None:
        self._problem = problem
        self._services = {service.name: service for service in services}
        self._reader = reader
        self._done_s = elapsed_s()
        self._sweep = sweep

    def tidy(self, log: Log, archivers: Sequence[Archiver]) -> None:
        """Now and then; what fails is made up for the next time."""
        if elapsed_s() - self._done_s < EVERY_S:
            return
        self._done_s = elapsed_s()
        try:
            replayed = self._replayed() if archivers else None
            if replayed is not None:
                held = [archiver.written for archiver in archivers]
                Retention(self._problem, held).trim(log, replayed)
            if self._sweep is not None:
                self._sweep.run(self._reader)
        except Retryable:
            return

    def _replayed(self) -> list[Position] | None:
        """Where replays of all groups begin; None while a service has no checkpoint yet."""
        found = []
        missing = {name for name, service in self._services.items() if service.build}
        for group, checkpoint in self._reader.checkpoints().items():
            parts = [self._services[name] for name in group.split("+") if name in self._services]
            missing -= {service.name for service in parts}
            inside = {stream for service in parts for stream in service.writes} & IN_MEMORY
            read = {stream for service in parts for stream in service.reads} - inside
            found.append(needed(self._reader, read, checkpoint))
        return None if missing else found
