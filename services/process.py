"""Some services fused in one process, over a log that other processes share: `headrace serve`.

Services that scale with partitions work on those that are assigned to this process, each partition
by itself; all others need the whole problem in one place, so of several instances one works and the
others stand by. Who works is decided by the log's groups (`shared/log/kafka_members.py`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, cast

import typer

from services import discover
from services.archiver.shell import Archiver
from services.host import Host
from services.housekeeping import Housekeeping
from shared import wiring
from shared.errors import Retryable, UsageError
from shared.log.port import Log, Position
from shared.messages.cloudevents import cloud_headers
from shared.messages.codec import encode
from shared.messages.streams import OUTCOMES, REFERENCES, Stream
from shared.problem.spec import Problem
from shared.runtime.clock import elapsed_s, now
from shared.runtime.fuse import Fused
from shared.runtime.health import Health
from shared.runtime.metered import MeteredLog
from shared.runtime.metrics import Meters
from shared.runtime.runner import IN_MEMORY, Follower, Runner, Trail, decoded
from shared.runtime.sweeping import Sweep
from shared.settings import Settings
from shared.stage import Service

if TYPE_CHECKING:  # brings the web framework along
    from services.collector.shell import Replay
    from services.console.core import Board

_CHECKPOINT_EVERY = 5_000
_CHECKPOINT_S = 10.0
"""A start replays what came after the last one."""
_MANY = 100
"""A commit costs some milliseconds however many records it holds: fewer than this are waited for."""
_URGENT_S = (0.01, 0.02, 0.05, 0.1)
"""After a turn with few records, and after the first, second, … turn in a row without any; where
somebody waits for an answer."""
_RELAXED_S = (0.1, 0.1, 0.2)
"""The same for all who only follow."""
_PAUSES_S = (0.05, 0.2, 1.0, 2.0)


class Process(Host):
    """The services `names` of one problem, as `instance` of those who do the same.

    Raises:
        UsageError: no such service, or a log that cannot be shared. Fatal, Retryable: see the log.
    """

    def __init__(
        self,
        problem: Problem,
        data_dir: Path,
        settings: Settings,
        names: Sequence[str],
        instance: str = "0",
        batch_size: int = 1_000,
    ) -> None:
        super().__init__(problem, data_dir, settings)
        known = discover()
        self.services = _chosen(known, names)
        self.names = [service.name for service in self.services]
        self.group = "+".join(self.names)
        self.batch_size = batch_size
        self.health = Health(sorted(self.names))
        self.meters = Meters(self.group, problem.name)
        self._others = [service for service in known if service not in self.services]
        self._stages = [service for service in self.services if service.build is not None]
        self._is_shared_out = all(s.scale == "per-partition" for s in self.services)
        self._folded_problem = _published_often(problem, self.services)
        self._seat = wiring.open_seat(settings, problem.name, self.group, instance)
        self._front = wiring.open_share(self._seat, None)
        self._logs: dict[int, Log] = {}
        self._runners: dict[int, Runner] = {}
        self._trails: list[Trail] = []
        self._archivers: list[Archiver] = []
        sweep = Sweep(self._blobs) if "learner" in self.names else None
        self._house = Housekeeping(problem, known, self._front, sweep)
        self._listeners: list[Follower] = [self.training] if "trainer" in self.names else []
        self._urgent: Callable[[], bool] = lambda: self._is_shared_out
        self._saved_s = elapsed_s()

    def board(self) -> "Board | None":
        """The console's view, where this process has one and works."""
        if 0 not in self._runners or "console" not in self.names:
            return None
        return cast("Board", self._runners[0].fused.stage("console"))

    def run(self, source: "Replay | None", stop: Event, turn: Callable[[], None]) -> None:
        """Work until `stop`; `turn` is called after each turn.

        Raises:
            Fatal, Fenced: end the process.
        """
        if source is not None:
            self._resume(self._front, source)
        if "trainer" in self.names:
            self._start_live(self._front, "serve")
        failures = idle = 0
        while not stop.is_set():
            began_s = elapsed_s()
            try:
                if source is not None and not self._collect(self._front, source, self.batch_size):
                    source = None  # drained
                self.inbox.drain(self._front)
                self._arrange()
                folded = sum(runner.step() for runner in self._runners.values())
                folded += sum(trail.step() for trail in self._trails)
                self._save()
            except Retryable as why:
                self._failed(why)
                stop.wait(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
                failures += 1
                continue
            failures, idle = 0, 0 if folded else idle + 1
            if 0 in self._logs:
                self._house.tidy(self._logs[0], self._archivers)
            self.health.turned()
            if folded:
                self.meters.turned(elapsed_s() - began_s)
            turn()
            if source is None and folded < _MANY:
                pauses_s = _URGENT_S if self._urgent() else _RELAXED_S
                self.inbox.wait(pauses_s[min(idle, len(pauses_s) - 1)])
        self._finish()

    def tell(self, follower: Follower, is_urgent: Callable[[], bool] | None = None) -> None:
        """Have `follower` told what the stages here fold and write, from their next rebuild on.

        `is_urgent`: is somebody waiting for that just now? Then turns follow each other faster.
        """
        self._listeners.append(follower)
        self._urgent = is_urgent or self._urgent

    def end(self, stream: Stream) -> int:
        """Where a stream ends just now."""
        return self._front.end(stream)

    def ends(self, stream: Stream) -> Position:
        """The same for each of its places."""
        return self._front.ends(stream)

    def close(self) -> None:
        """End background work; leave the groups."""
        self.training.close()
        for partition in list(self._logs):
            self._release(partition)
        self._front.close()
        self._seat.close()

    def _arrange(self) -> None:
        """Work on what is assigned to us, and on nothing else."""
        assigned = self._seat.assigned(self.group)
        if assigned is None:
            return  # being arranged: what is not ours any more cannot commit
        if not self._is_shared_out:
            assigned &= {0}
        for partition in set(self._logs) - assigned:
            self._release(partition)
        for partition in sorted(assigned - set(self._logs)):
            share = self._front
            if self._is_shared_out:
                share = wiring.open_share(self._seat, partition)
            log = MeteredLog(share, self.meters, partition)
            self._logs[partition] = log
            if self._stages:
                self._runners[partition] = self._runner(log, partition)
        self.meters.assigned(len(assigned))
        standby = "standing by: another instance has the work"
        self.health.ready(None if assigned else standby, standby=not assigned)
        if 0 not in assigned:
            self._forget_trails()
        elif not self._trails and not self._is_shared_out:
            self._trails = [Trail(self._logs[0], follower) for follower in self._apart()]

    def _release(self, partition: int) -> None:
        self._runners.pop(partition, None)
        log = self._logs.pop(partition)
        if self._is_shared_out:
            log.close()
        self.meters.released(partition)

    def _save(self) -> None:
        """Now and then, so that a start has little to replay."""
        if elapsed_s() - self._saved_s > _CHECKPOINT_S:
            self._saved_s = elapsed_s()
            for runner in self._runners.values():
                runner.checkpoint()

    def _runner(self, log: Log, partition: int) -> Runner:
        return Runner(
            log,
            self.group,
            self._fuse,
            self.batch_size,
            checkpoint_every=_CHECKPOINT_EVERY,
            followers=self._listeners,
            passed_on=self._passed_on(),
            headers=lambda r: cloud_headers(r.stream, r.value, self.problem.name, r.offset),
            unsaid=frozenset({REFERENCES}) if partition else frozenset(),
        )

    def _fuse(self) -> Fused:
        elsewhere = frozenset(stream for service in self._others for stream in service.writes)
        return Fused(self._stages, self._folded_problem, self._tools, now, elsewhere)

    def _passed_on(self) -> frozenset[Stream]:
        wanted = {stream for service in self._others for stream in service.reads}
        return IN_MEMORY - wanted

    def _apart(self) -> list[Follower]:
        """Followers that go along the log by themselves."""
        if "archiver" not in self.names or not self.problem.retention.archive:
            return []
        if not self._archivers:
            self._archivers = [Archiver(wiring.open_archive(self.data_dir, self.problem))]
        return [*self._archivers]

    def _forget_trails(self) -> None:
        """They are made anew from where the outside remembers to be."""
        self._trails, self._archivers = [], []

    def _failed(self, why: Retryable) -> None:
        typer.echo(f"headrace: {self.group}: {why} Trying again.", err=True)
        self.meters.restarted(why)
        self.health.turned()  # alive, whatever does not answer: starting anew would not mend that
        self.health.ready(f"not at work: {why}")
        self._forget_trails()

    def _finish(self) -> None:
        """Save the state, so that the next start replays nothing."""
        for runner in self._runners.values():
            runner.checkpoint()
        for archiver in self._archivers:
            archiver.flush()

    def _outcomes(self, start: int, end: int) -> list[bytes]:
        records = self._front.read((OUTCOMES,), {str(OUTCOMES): start}, end - start)
        return [encode(r.value) for r in decoded(r for r in records if r.offset < end)]


def _chosen(known: Sequence[Service], names: Sequence[str]) -> list[Service]:
    there = {service.name: service for service in known}
    wrong = sorted(set(names) - set(there))
    if wrong or not names:
        raise UsageError(f"no such service: {', '.join(wrong)}; there are: {', '.join(there)}")
    return [service for service in known if service.name in names]


def _published_often(problem: Problem, services: Sequence[Service]) -> Problem:
    """Without the learner beside it, a scorer is as fresh as the newest snapshot."""
    names = {service.name for service in services}
    if "learner" not in names or "scorer" in names:
        return problem
    model = problem.model.model_copy(update={"snapshot_every": problem.model.publish_every})
    return problem.model_copy(update={"model": model})
