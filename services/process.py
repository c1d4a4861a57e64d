"""Some services fused in one process, over a log that other processes share: `headrace serve`.

Services that scale with partitions work on those that are assigned to this process, each partition
by itself; all others need the whole problem in one place, so of several instances one works and the
others stand by. Who works is decided by the log's groups (`shared/log/kafka_members.py`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import msgspec
import typer

from services import discover
from services.archiver.shell import Archiver
from services.collector.replay import Arrival
from services.console.core import Board
from services.embedded import as_append
from services.housekeeping import Housekeeping
from services.trainer.shell import LocalTraining
from shared import wiring
from shared.errors import Retryable, UsageError
from shared.log.port import Log, Position
from shared.messages.cloudevents import cloud_headers
from shared.messages.codec import encode
from shared.messages.streams import CONTROL, OUTCOMES, Stream
from shared.messages.types import Control
from shared.problem.spec import Problem
from shared.runtime.clock import elapsed_s, now
from shared.runtime.fuse import Fused
from shared.runtime.health import Health
from shared.runtime.inbox import Inbox
from shared.runtime.metered import MeteredLog
from shared.runtime.metrics import Meters
from shared.runtime.runner import IN_MEMORY, Follower, Runner, Trail, decoded
from shared.runtime.sweeping import Sweep
from shared.settings import Settings
from shared.stage import Service, Tools

if TYPE_CHECKING:  # brings the web framework along
    from services.collector.shell import Replay

SOURCE = "source"
_COMMIT_S = 30.0
_CHECKPOINT_EVERY = 5_000
_IDLE_S = (0.02, 0.05, 0.1)
_LINGER_S = 0.01
_MANY = 100
"""A commit costs some milliseconds however many records it holds: fewer than this are waited for."""
_PAUSES_S = (0.05, 0.2, 1.0, 2.0)


class Process:
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
        health: Health | None = None,
        meters: Meters | None = None,
    ) -> None:
        known = discover()
        self.problem = problem
        self.services = _chosen(known, names)
        self.group = "+".join(service.name for service in self.services)
        self.batch_size = batch_size
        self.health = health or Health()
        self.meters = meters or Meters(self.group, problem.name)
        self.inbox = Inbox()
        self._others = [service for service in known if service not in self.services]
        self._stages = [service for service in self.services if service.build is not None]
        self._is_shared_out = all(s.scale == "per-partition" for s in self.services)
        self._folded_problem = _published_often(problem, self.services)
        self._seat = wiring.open_seat(settings, problem.name, self.group, instance)
        self._front = wiring.open_share(self._seat, None)
        self._datasets = wiring.open_reader(settings, data_dir, problem.name)
        blobs, keys = (
            wiring.open_blobs(settings.blobs, data_dir),
            wiring.open_keys(settings, data_dir),
        )
        self.training = LocalTraining(
            data_dir / "jobs", self._outcomes, problem, on_trained=self._trained
        )
        self._tools = Tools(
            blobs=blobs,
            training=self.training,
            verified=wiring.verifying(blobs, keys, problem.name),
            signed=keys.signer.sign,
        )
        self.data_dir = data_dir
        self._logs: dict[int, Log] = {}
        self._runners: dict[int, Runner] = {}
        self._trails: list[Trail] = []
        self._archivers: list[Archiver] = []
        self._house = Housekeeping(problem, known, self._datasets)
        if "learner" in names:
            self._house.sweep = Sweep(blobs)
        self._listeners: list[Follower] = [self.training] if "trainer" in names else []

    def board(self) -> Board | None:
        """The console's view, where this process has one and works."""
        if 0 not in self._runners or "console" not in self.group.split("+"):
            return None
        board = self._runners[0].fused.stage("console")
        assert isinstance(board, Board)
        return board

    def run(self, source: "Replay | None", stop: Event, turn: Callable[[], None]) -> None:
        """Work until `stop`; `turn` is called after each turn.

        Raises:
            Fatal, Fenced: end the process.
        """
        if source is not None:
            source.skip(self._front.position(SOURCE).get(SOURCE, 0))
        if any(service.name == "trainer" for service in self.services):
            self._announce()
        failures = idle = 0
        while not stop.is_set():
            began_s = elapsed_s()
            try:
                source = self._collect(source)
                self.inbox.drain(self._front)
                self._arrange()
                folded = sum(runner.step() for runner in self._runners.values())
                folded += sum(trail.step() for trail in self._trails)
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
                stop.wait(_IDLE_S[min(idle, len(_IDLE_S)) - 1] if idle else _LINGER_S)
        self._finish()

    def submit(self, control: Control) -> None:
        """An operator's or a clock's record; returns when it is on the log."""
        self.accept([Arrival(CONTROL, None, msgspec.json.encode(control), control.time)])

    def accept(self, arrivals: list[Arrival]) -> None:
        """Arrivals from another thread; returns when they are on the log.

        Raises:
            Busy: the inbox is full.
        """
        self.inbox.put([as_append(arrival) for arrival in arrivals]).result(_COMMIT_S)

    def tell(self, follower: Follower) -> None:
        """Have `follower` told what the stages here fold and write, from their next rebuild on."""
        self._listeners.append(follower)

    def end(self, stream: Stream) -> int:
        """Where a stream ends just now."""
        return self._front.end(stream)

    def ends(self, stream: Stream) -> Position:
        """The same for each of its places."""
        return self._front.ends(stream)

    def close(self) -> None:
        """End background work; leave the groups."""
        self.training.close()
        for log in (*self._logs.values(), self._front, self._datasets):
            log.close()
        self._seat.close()

    def _arrange(self) -> None:
        """Work on what is assigned to us, and on nothing else."""
        assigned = self._seat.assigned(self.group)
        if assigned is None:
            return  # being arranged: what is not ours any more cannot commit
        if not self._is_shared_out:
            assigned &= {0}
        for partition in set(self._logs) - assigned:
            self._runners.pop(partition, None)
            self._logs.pop(partition).close()
            self.meters.released(partition)
        for partition in sorted(assigned - set(self._logs)):
            share = wiring.open_share(self._seat, partition if self._is_shared_out else None)
            log = MeteredLog(share, self.meters, partition)
            self._logs[partition] = log
            if self._stages:
                self._runners[partition] = runner = self._runner(log)
                runner.catch_up()
        self.meters.assigned(len(assigned))
        standby = "standing by: another instance has the work"
        self.health.ready(None if assigned else standby, standby=not assigned)
        if 0 not in assigned:
            self._forget_trails()
        elif not self._trails and not self._is_shared_out:
            self._trails = [Trail(self._logs[0], follower) for follower in self._apart()]

    def _runner(self, log: Log) -> Runner:
        return Runner(
            log,
            self.group,
            self._fuse,
            self.batch_size,
            checkpoint_every=_CHECKPOINT_EVERY,
            followers=self._listeners,
            passed_on=self._passed_on(),
            headers=lambda r: cloud_headers(r.stream, r.value, self.problem.name, r.offset),
        )

    def _fuse(self) -> Fused:
        elsewhere = frozenset(stream for service in self._others for stream in service.writes)
        return Fused(self._stages, self._folded_problem, self._tools, now, elsewhere)

    def _passed_on(self) -> frozenset[Stream]:
        wanted = {stream for service in self._others for stream in service.reads}
        return IN_MEMORY - wanted

    def _apart(self) -> list[Follower]:
        """Followers that go along the log by themselves."""
        if "archiver" not in self.group.split("+") or not self.problem.retention.archive:
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

    def _collect(self, source: "Replay | None") -> "Replay | None":
        """Append what the source gives with its position; None once it is drained."""
        if source is None:
            return None
        arrivals = source.next(self.batch_size)
        if arrivals is None:
            return None
        if arrivals:
            position = self._front.position(SOURCE).get(SOURCE, 0) + len(arrivals)
            with self._front.begin(SOURCE) as transaction:
                transaction.append(as_append(arrival) for arrival in arrivals)
                transaction.advance({SOURCE: position})
        return source

    def _announce(self) -> None:
        """Results of jobs take effect when they are there (DESIGN section 5)."""
        control = Control(command="start", time=now(), by="serve", details={"mode": "live"})
        with self._front.begin("live") as transaction:
            arrival = Arrival(CONTROL, None, msgspec.json.encode(control), control.time)
            transaction.append([as_append(arrival)])

    def _finish(self) -> None:
        """Save the state, so that the next start replays nothing."""
        for runner in self._runners.values():
            runner.checkpoint()
        for archiver in self._archivers:
            archiver.flush()

    def _trained(self, job: str) -> None:
        self.submit(Control(command="trained", time=now(), by="trainer", target=job))

    def _outcomes(self, start: int, end: int) -> list[bytes]:
        records = self._datasets.read((OUTCOMES,), {str(OUTCOMES): start}, end - start)
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
