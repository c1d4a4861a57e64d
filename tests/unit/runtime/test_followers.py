"""What followers are told, on a log that commits while the runner goes on: all of it, once it is so."""

from collections.abc import Sequence

import pytest

from shared.errors import Retryable
from shared.log.memory import MemoryLog
from shared.log.port import Position, advanced
from shared.messages.streams import EVENTS, OUTCOMES, PREDICTIONS
from shared.runtime.runner import Runner
from shared.stage import Record
from tests.chaos.test_runner_crash_points import contents, drive, fill, make
from tests.kit.late import LateLog

FOLLOWED = (EVENTS, PREDICTIONS, OUTCOMES)


class Witness:
    """Remembers what it was told; each time looks whether that is committed."""

    streams = FOLLOWED

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.seen: dict[tuple[str, int], object] = {}
        self._position: Position = {}

    def position(self) -> Position:
        return dict(self._position)

    def follow(self, records: Sequence[Record]) -> None:
        for record in records:
            assert record.offset < self._log.end(record.stream), "told before it was committed"
            assert record.offset <= self._position.get(record.stream, 0), "one was left out"
            if (record.stream, record.offset) not in self.seen:
                self._position = advanced(self._position, [record])
            self.seen[record.stream, record.offset] = record.value


def told(log: LateLog, under: MemoryLog) -> Witness:
    witness = Witness(under)
    runner = Runner(log, "g", make, batch_size=2, checkpoint_every=5, followers=[witness])
    for _ in range(100):
        try:
            while runner.step():
                pass
            return witness
        except Retryable:
            continue
    raise AssertionError("never finished")


def expected() -> tuple[object, int]:
    under = MemoryLog()
    fill(under)
    log = LateLog(under)
    drive(log)
    assert log.late > 1  # or nothing is tested here
    return contents(under), log.commits


@pytest.mark.parametrize("after", [False, True])
def test_no_failing_commit_changes_the_log_or_hides_anything_from_followers(after: bool) -> None:
    wanted, commits = expected()
    for at in range(commits + 1):
        under = MemoryLog()
        fill(under)
        log = LateLog(under, at, after)
        witness = told(log, under)
        drive(under)  # the last checkpoint, as at the end of a run
        assert contents(under) == wanted, f"commit {at}"
        ends = {(s, n) for s in FOLLOWED for n in range(under.end(s))}
        assert set(witness.seen) == ends, f"commit {at}"


def test_a_follower_that_could_not_catch_up_is_given_it_again() -> None:
    class Busy(Witness):
        turns = 0

        def follow(self, records: Sequence[Record]) -> None:
            self.turns += 1
            if self.turns == 1:
                raise Retryable("not now")
            super().follow(records)

    log = MemoryLog()
    fill(log)
    drive(log)  # all is there when the follower comes: nothing but the catching up tells it
    busy = Busy(log)
    runner = Runner(log, "g", make, followers=[busy])
    with pytest.raises(Retryable):
        runner.step()
    assert runner.step() == 0
    assert set(busy.seen) == {(s, n) for s in FOLLOWED for n in range(log.end(s))}
