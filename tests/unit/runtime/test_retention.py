"""Retention: the log is bounded, and nothing goes that a replay, the archive or a job still needs."""

import msgspec
import pytest

from shared.log.memory import MemoryLog
from shared.log.port import Append, Position
from shared.messages.codec import encode
from shared.messages.streams import (
    CONTROL,
    EVENTS,
    JOBS,
    LABELS,
    OUTCOMES,
    PREDICTIONS,
    Stream,
)  # fmt: skip
from shared.messages.types import Job
from shared.problem import spec
from shared.problem.spec import Problem
from shared.runtime.fuse import Fused
from shared.runtime.retention import Retention, needed
from shared.runtime.runner import Runner
from tests.kit.toy import T0, event, label, toy_problem, toy_services

EVENTS_GIVEN = 40
KEPT = 5
INPUTS = (EVENTS, LABELS, CONTROL)
FAR: Position = {"events": 1_000, "labels": 1_000, "control": 1_000}


def problem(records: int | None = KEPT, window: int = 7) -> Problem:
    return toy_problem().model_copy(
        update={
            "retention": spec.Retention.model_construct(records=records, archive=True),
            "retraining": spec.Retraining.model_construct(window=window),
        }
    )


def filled(count: int = EVENTS_GIVEN) -> MemoryLog:
    log = MemoryLog()
    with log.begin("source") as transaction:
        for n in range(count):
            transaction.append(Append(s, value) for s, value in (event(n), label(n, n)))
    return log


def runner(log: MemoryLog, retention: Retention | None, checkpoint_every: int = 10) -> Runner:
    def make() -> Fused:
        return Fused(toy_services(3), toy_problem(3), tools=None)  # type: ignore[arg-type]

    return Runner(log, "g", make, 4, checkpoint_every, retention=retention)


def first(log: MemoryLog, stream: Stream) -> int:
    found = log.read((stream,), {}, 1)
    return found[0].offset if found else log.end(stream)


def contents(log: MemoryLog, stream: Stream) -> dict[int, bytes]:
    return {record.offset: record.value for record in log.read((stream,), {}, 1_000)}


def note(log: MemoryLog, state: str, start: int = 3) -> None:
    job = {"job": "job-1", "state": state, "reason": "r", "trigger": "t", "time": T0}
    with log.begin("jobs") as transaction:
        value = msgspec.convert({**job, "start": start, "end": 20}, Job)
        transaction.append([Append(JOBS, encode(value))])


@pytest.mark.parametrize("dies_after", range(1, 20))
def test_a_run_that_dies_and_goes_on_over_a_trimmed_log_says_the_same(dies_after: int) -> None:
    untrimmed = filled()
    plain = runner(untrimmed, None)
    while plain.step():
        pass
    log = filled()
    dying = runner(log, Retention(problem()))
    for _ in range(dies_after):
        dying.step()
    going_on = runner(log, Retention(problem()))
    while going_on.step():
        pass
    going_on.checkpoint()
    assert first(log, EVENTS) == EVENTS_GIVEN - KEPT
    for stream in (PREDICTIONS, OUTCOMES):
        whole = contents(untrimmed, stream)
        assert log.end(stream) == EVENTS_GIVEN
        assert contents(log, stream) == {n: whole[n] for n in range(first(log, stream), 40)}


def test_the_newest_stay_and_a_window_of_outcomes() -> None:
    log = filled()
    run = runner(log, Retention(problem()))
    while run.step():
        pass
    run.checkpoint()
    assert [first(log, s) for s in (EVENTS, LABELS, PREDICTIONS)] == [35, 35, 35]
    assert first(log, OUTCOMES) == 33


def test_without_a_number_nothing_goes() -> None:
    log = filled()
    Retention(problem(records=None)).trim(log, [FAR])
    assert first(log, EVENTS) == 0


def test_inputs_behind_the_checkpoint_only() -> None:
    log = filled()
    Retention(problem()).trim(log, [needed(log, INPUTS, {"events": 12})])
    assert [first(log, EVENTS), first(log, LABELS)] == [12, 0]


def test_what_is_not_held_outside_stays() -> None:
    log = filled()
    run = runner(log, Retention(problem(), [lambda: {"predictions": 30, "outcomes": 8}]))
    while run.step():
        pass
    run.checkpoint()
    assert [first(log, s) for s in (EVENTS, PREDICTIONS, OUTCOMES)] == [35, 30, 8]


def test_the_dataset_of_a_job_under_way_stays_until_it_is_over() -> None:
    log = filled()
    run = runner(log, None)
    while run.step():
        pass
    note(log, "requested")
    Retention(problem()).trim(log, [FAR])
    assert first(log, OUTCOMES) == 3
    note(log, "running")
    Retention(problem()).trim(log, [FAR])
    assert first(log, OUTCOMES) == 3
    note(log, "rejected")
    Retention(problem()).trim(log, [FAR])
    assert first(log, OUTCOMES) == 33
    assert first(log, JOBS) == 0


def test_outcomes_are_read_as_they_stand_on_the_log() -> None:
    log = filled()
    run = runner(log, None)
    while run.step():
        pass
    stored = contents(log, OUTCOMES)
    assert run.outcomes(5, 9) == [stored[n] for n in range(5, 9)]
    assert run.outcomes(38, 60) == [stored[38], stored[39]]


def test_outcomes_of_the_batch_at_hand_are_included() -> None:
    log = filled()
    seen: list[list[bytes]] = []

    class Asking(Fused):
        def _run(self, index: int, *rest: list[object]) -> None:  # type: ignore[override]
            super()._run(index, *rest)  # type: ignore[arg-type]
            seen.append(run.outcomes(0, EVENTS_GIVEN))

    def make() -> Fused:
        return Asking(toy_services(3), toy_problem(3), tools=None)  # type: ignore[arg-type]

    run = Runner(log, "g", make, batch_size=20)
    while run.step():
        pass
    stored = contents(log, OUTCOMES)
    assert len({len(values) for values in seen}) > 5, "outcomes were seen as they came"
    assert all(values == [stored[n] for n in range(len(values))] for values in seen)
