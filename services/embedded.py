"""The whole system in one process over one data directory: what `headrace run` runs."""

from collections.abc import Callable, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import msgspec

from services import discover
from services.archiver.shell import Archiver
from services.console.core import Board
from services.host import Host
from shared import wiring
from shared.durable import write_durably
from shared.errors import Retryable, UsageError
from shared.problem.admission import beyond_admission
from shared.problem.spec import Problem
from shared.runtime.clock import now
from shared.runtime.fuse import Fused
from shared.runtime.retention import Retention
from shared.runtime.runner import Follower, Runner
from shared.settings import Settings

if TYPE_CHECKING:  # brings the web framework along
    from services.collector.shell import Replay

GROUP = "headrace"
_IDLE_S = 0.01
_PAUSES_S = (0.05, 0.2, 1.0, 5.0)


class _Written(msgspec.Struct):
    """What the data directory was made for (`headrace.json`)."""

    problem: str
    source: str
    core: str = ""
    """The problem without what only decides on which events are let in."""


class Embedded(Host):
    """Log, stages and background training of one problem in `data_dir`.

    Raises:
        DataDirInUse: another process runs there. UsageError: it belongs to another problem file.
    """

    def __init__(
        self,
        problem: Problem,
        data_dir: Path,
        settings: Settings,
        batch_size: int = 1_000,
        beside: Sequence[Follower] = (),
    ) -> None:
        super().__init__(problem, data_dir, settings)
        self.log = wiring.open_log(settings, data_dir, problem.name)
        self._services = [service for service in discover() if service.build is not None]
        self._archivers: list[Archiver] = []
        if problem.retention.archive:
            self._archivers = [Archiver(wiring.open_archive(data_dir, problem))]
        followers: list[Follower] = [self.training, *self._archivers, *beside]
        retention = Retention(problem, [archiver.written for archiver in self._archivers])
        self.runner = Runner(
            self.log, GROUP, self._fuse, batch_size, followers=followers, retention=retention
        )
        self.batch_size = batch_size
        self._live = False
        self._look()

    def board(self) -> Board:
        """The view of the run; only the loop's thread changes it."""
        return self._board

    def _look(self) -> None:
        board = self.runner.fused.stage("console")
        assert isinstance(board, Board)
        self._board = board

    def run(
        self, source: "Replay | None", stop: Event, stay: bool, turn: Callable[[], None]
    ) -> None:
        """Take in, fold, commit, until `stop`, or until a finite source is drained (unless `stay`).

        `turn` is called after each turn, with the board up to date.
        """
        if source is not None:
            self._resume(self.log, source)
        else:
            self._live = True
            self._start_live(self.log, "run")
        drained = source is None
        failures = 0
        while not stop.is_set():
            try:
                self.inbox.drain(self.log)
                if source is not None and not drained:
                    drained = not self._collect(self.log, source, self.batch_size)
                folded = self.runner.step()
            except Retryable:
                stop.wait(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
                failures += 1
                continue
            failures = 0
            self._look()
            turn()
            if folded == 0:
                if drained and not stay:
                    break
                self.inbox.wait(_IDLE_S)
        self.runner.checkpoint()
        for archiver in self._archivers:
            archiver.flush()

    def close(self) -> None:
        """End background work and release the data directory."""
        self.training.close()
        self.log.close()

    def _fuse(self) -> Fused:
        return Fused(self._services, self.problem, self._tools, stamp=now)

    def _trained(self, job: str) -> None:
        """Live, a result takes effect where this record stands; a replay declares its place."""
        if self._live:
            super()._trained(job)

    def _outcomes(self, start: int, end: int) -> Sequence[bytes]:
        return self.runner.outcomes(start, end)


def claim(
    data_dir: Path, problem_text: bytes, source: str, problem: Problem, settings: Settings
) -> None:
    """Make sure that `data_dir` belongs to this problem file and source.

    A problem file that differs only in which events it lets in may go on with it, once all that was
    folded by the old one is in a checkpoint: nothing is replayed by other rules than it was judged by.

    Raises:
        UsageError: it was written for another one; mixing them would be neither.
    """
    mark = data_dir / "headrace.json"
    mine = _Written(sha256(problem_text).hexdigest(), source, beyond_admission(problem))
    if mark.exists():
        theirs = msgspec.json.decode(mark.read_bytes(), type=_Written)
        mended = (theirs.source, theirs.core) == (mine.source, mine.core)
        if mended and theirs.problem != mine.problem and _settled(data_dir, problem, settings):
            write_durably(mark, msgspec.json.encode(mine))
        elif (theirs.problem, theirs.source) != (mine.problem, mine.source):
            what = "problem file" if theirs.problem != mine.problem else "event source"
            raise UsageError(
                f"{data_dir} holds a run of another version of this {what}. Start over with --fresh, "
                "or keep that run and name another directory with --data-dir."
            )
        return
    write_durably(mark, msgspec.json.encode(mine))


def _settled(data_dir: Path, problem: Problem, settings: Settings) -> bool:
    """Whether a start would replay nothing; a run that ended by itself leaves it so."""
    with closing(wiring.open_log(settings, data_dir, problem.name)) as log:
        return log.checkpoint(GROUP).position == log.position(GROUP)
