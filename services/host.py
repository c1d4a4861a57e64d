"""What `headrace run` and `headrace serve` have in common: tools for the stages, and the way in.

One thread owns the log and the stages; HTTP, operators and clocks hand their records in through the
inbox. A source's own position is committed with what it gave, so that a run that died goes on exactly
where it was.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from services.collector.replay import Arrival
from services.trainer.shell import BackgroundTraining
from shared import wiring
from shared.log.port import Append, Log
from shared.messages.streams import CONTROL
from shared.messages.types import Control
from shared.problem.spec import Problem
from shared.runtime.clock import now
from shared.runtime.inbox import Inbox
from shared.settings import Settings
from shared.stage import Tools

if TYPE_CHECKING:  # brings the web framework along
    from services.collector.shell import Replay

SOURCE = "source"
_COMMIT_S = 30.0


class Host(ABC):
    """Runs stages of `problem`, with what they keep outside the log in `data_dir`."""

    def __init__(self, problem: Problem, data_dir: Path, settings: Settings) -> None:
        self.problem = problem
        self.data_dir = data_dir
        self.inbox = Inbox()
        self.training = BackgroundTraining(
            data_dir / "jobs",
            self._outcomes,
            problem,
            on_trained=self._trained,
            engine=settings.train_engine,
        )
        self._in_hand: list[Arrival] = []
        self._given = 0
        """How many arrivals the source has given, those in hand included."""
        self._blobs = wiring.open_blobs(settings.blobs, data_dir)
        keys = wiring.open_keys(settings, data_dir)
        self._tools = Tools(
            blobs=self._blobs,
            training=self.training,
            verified=wiring.verifying(self._blobs, keys.verifier, problem),
            signed=keys.signer.sign,
            trusted=keys.trusted,
        )

    def submit(self, control: Control) -> None:
        """An operator's or a clock's record; returns when it is on the log.

        Raises:
            Busy: the inbox is full.
        """
        self.accept([_arrival(control)])

    def accept(self, arrivals: list[Arrival]) -> None:
        """Arrivals from another thread; returns when they are on the log.

        Raises:
            Busy: the inbox is full.
        """
        self.inbox.put([_append(arrival) for arrival in arrivals]).result(_COMMIT_S)

    def _resume(self, log: Log, source: "Replay") -> None:
        """Go on with the source where the log says it was.

        Raises:
            UsageError: it is not the source that was there before.
        """
        self._given = log.position(SOURCE).get(SOURCE, 0)
        source.skip(self._given)

    def _collect(self, log: Log, source: "Replay", limit: int) -> bool:
        """Append the next arrivals with the source's position; whether more may come.

        Raises:
            Retryable: they are still in hand; the next call appends them, unless they are there: the
                answer to a commit can get lost.
        """
        if not self._in_hand:
            arrivals = source.next(limit)
            if arrivals is None:
                return False
            self._in_hand = arrivals
            self._given += len(arrivals)
        if log.position(SOURCE).get(SOURCE, 0) < self._given:
            with log.begin(SOURCE) as transaction:
                transaction.append(_append(arrival) for arrival in self._in_hand)
                transaction.advance({SOURCE: self._given})
        self._in_hand = []
        return True

    def _start_live(self, log: Log, by: str) -> None:
        """From here on results of jobs take effect when they are there (DESIGN section 5)."""
        control = Control(command="start", time=now(), by=by, details={"mode": "live"})
        with log.begin("live") as transaction:
            transaction.append([_append(_arrival(control))])

    def _trained(self, job: str) -> None:
        self.submit(Control(command="trained", time=now(), by="trainer", target=job))

    @abstractmethod
    def _outcomes(self, start: int, end: int) -> Sequence[bytes]:
        """Outcomes at these offsets (`end` excluded), as JSON: the data of a job."""


def _arrival(control: Control) -> Arrival:
    return Arrival(CONTROL, None, msgspec.json.encode(control), control.time)


def _append(arrival: Arrival) -> Append:
    at_ms = int(arrival.time.timestamp() * 1000)
    return Append(arrival.stream, arrival.value, arrival.key, at_ms, arrival.headers)
