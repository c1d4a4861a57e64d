"""Meters count what is on the log, no more and no less, also when commits fail."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.errors import Retryable
from shared.log.memory import MemoryLog
from shared.log.port import Append, Log
from shared.messages.streams import EVENTS, LABELS, OUTCOMES, PREDICTIONS, Stream
from shared.runtime.fuse import Fused
from shared.runtime.metered import LAG_EVERY_S, MeteredLog
from shared.runtime.metrics import Meters
from shared.runtime.runner import Runner
from tests.kit.crashing import CrashingLog
from tests.kit.late import LateLog
from tests.kit.toy import event, label, toy_problem, toy_services

BATCH = 3
T0 = datetime(2001, 1, 1, tzinfo=UTC)


def value(meters: Meters, name: str, **labels: str) -> float | None:
    return meters.registry.get_sample_value(name, {"service": "s", "problem": "p", **labels})


def make() -> Fused:
    return Fused(toy_services(1), toy_problem(1), tools=None)  # type: ignore[arg-type]


def filled() -> MemoryLog:
    log = MemoryLog()
    with log.begin("source") as transaction:
        for number in range(7):
            transaction.append(Append(*item) for item in (event(number), label(number, 1.0)))
    return log


def drive(log: Log, batch_size: int = BATCH) -> None:
    runner = Runner(log, "g", make, batch_size=batch_size, checkpoint_every=5)
    for _ in range(200):
        try:
            while runner.step():
                pass
            return
        except Retryable:
            continue
    raise AssertionError("never finished")


def counted(meters: Meters) -> Counter[Stream]:
    def total(name: str, stream: Stream) -> int:
        return int(value(meters, f"headrace_records_{name}_total", stream=stream) or 0)

    read, wrote = (EVENTS, LABELS), (PREDICTIONS, OUTCOMES)
    return Counter({s: total("folded", s) for s in read} | {s: total("written", s) for s in wrote})


def on_the_log(log: Log) -> Counter[Stream]:
    streams = (EVENTS, LABELS, PREDICTIONS, OUTCOMES)
    return Counter(r.stream for s in streams for r in log.read([s], {}, 1_000))


def test_what_is_counted_is_what_is_on_the_log() -> None:
    log, meters = filled(), Meters("s", "p")
    drive(MeteredLog(log, meters))
    assert counted(meters) == on_the_log(log)


@pytest.mark.parametrize("fail_at", range(1, 40))
def test_replays_are_not_counted_again(fail_at: int) -> None:
    """At most the batch whose commit went through without an answer is missing, and the one before it,
    whose answer nobody had waited for.
    """
    log, meters = filled(), Meters("s", "p")
    drive(MeteredLog(CrashingLog(log, fail_at, Retryable), meters))
    there, found = on_the_log(log), counted(meters)
    assert found <= there
    assert (there - found)[EVENTS] + (there - found)[LABELS] <= 2 * BATCH
    again = sum(found.values())
    drive(MeteredLog(log, meters))  # all is folded: a rebuild reads, and commits nothing
    assert sum(counted(meters).values()) == again


@pytest.mark.parametrize("batch_size", [2, BATCH])  # of two, the last is full
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("fail_at", range(12))
def test_a_late_commit_that_is_undone_is_not_counted(
    fail_at: int, after: bool, batch_size: int
) -> None:
    log, meters = filled(), Meters("s", "p")
    late = LateLog(log, fail_at, after)
    drive(MeteredLog(late, meters), batch_size)
    there, found = on_the_log(log), counted(meters)
    assert late.late > 1 and found <= there
    if fail_at == 0:
        assert found == there
    if not after:  # what did not answer was not committed: only what was folded meanwhile lacks
        assert (there - found)[EVENTS] + (there - found)[LABELS] <= 2 * batch_size


def test_sizes_of_state_are_those_of_the_checkpoint() -> None:
    log, meters = filled(), Meters("s", "p")
    drive(MeteredLog(log, meters, partition=2))
    kept = sum(len(entry) for entry in log.checkpoint("g").entries.values())
    assert value(meters, "headrace_state_bytes", partition="2") == kept
    again = Meters("s", "p")
    runner = Runner(MeteredLog(log, again, partition=2), "g", make, checkpoint_every=5)
    assert runner.step() == 0
    runner.checkpoint()  # sizes of entries that are not written anew are known from the restore
    kept = sum(len(entry) for entry in log.checkpoint("g").entries.values())
    assert value(again, "headrace_state_bytes", partition="2") == kept


def test_lag_is_what_is_left_to_read() -> None:
    at_s = [0.0]
    meters, log = Meters("s", "p"), filled()
    metered = MeteredLog(log, meters, clock_s=lambda: at_s[0])
    metered.read((EVENTS,), {"events": 1}, 2)
    assert value(meters, "headrace_lag_records", stream="events", partition="0") == 7 - 3
    metered.read((EVENTS,), {"events": 3}, 2)
    assert value(meters, "headrace_lag_records", stream="events", partition="0") == 7 - 3
    at_s[0] += LAG_EVERY_S
    metered.read((EVENTS,), {"events": 3}, 2)
    assert value(meters, "headrace_lag_records", stream="events", partition="0") == 7 - 5
    at_s[0] += LAG_EVERY_S
    metered.read((EVENTS,), {"events": 7}, 2)
    assert value(meters, "headrace_lag_records", stream="events", partition="0") == 0


def test_a_commit_is_timed_and_dated() -> None:
    meters = Meters("s", "p", clock=lambda: T0)
    with MeteredLog(MemoryLog(), meters).begin("g") as transaction:
        transaction.append([Append(*event(1))])
    assert value(meters, "headrace_commit_seconds_count") == 1
    assert value(meters, "headrace_last_commit_timestamp_seconds") == T0.timestamp()
    assert value(meters, "headrace_records_folded_total", stream="events") is None


def test_lag_of_what_is_not_ours_any_more_is_not_shown() -> None:
    meters = Meters("s", "p")
    meters.lag(0, {"events": 5, "labels": 3})
    meters.lag(1, {"events/1": 2})
    meters.lag(0, {"events": 4})
    assert value(meters, "headrace_lag_records", stream="labels", partition="0") is None
    assert value(meters, "headrace_lag_records", stream="events", partition="0") == 4
    assert value(meters, "headrace_lag_records", stream="events", partition="1") == 2
    meters.released(1)
    assert value(meters, "headrace_lag_records", stream="events", partition="1") is None
    meters.saved(1, 10, 20)
    meters.released(1)
    assert value(meters, "headrace_state_bytes", partition="1") is None
    meters.released(7)  # never had a checkpoint


def test_the_age_of_the_model_grows_without_being_told() -> None:
    clock = [T0]
    meters = Meters("s", "p", clock=lambda: clock[0])
    assert value(meters, "headrace_served_model_age_seconds") is None
    meters.model("v1", 4, T0)
    clock[0] = T0 + timedelta(seconds=90)
    assert value(meters, "headrace_served_model_age_seconds") == 90
    meters.model("v2", 0, clock[0])
    assert value(meters, "headrace_served_model_age_seconds") == 0
    assert value(meters, "headrace_served_model_info", version="v1") is None
    assert value(meters, "headrace_served_model_info", version="v2") == 1


def test_restarts_are_told_by_kind() -> None:
    meters = Meters("s", "p")
    meters.restarted(Retryable("no answer"))
    assert value(meters, "headrace_restarts_total", kind="Retryable") == 1


def test_the_page_parses_and_every_name_is_ours_or_the_process_s() -> None:
    meters = Meters("s", "p")
    meters.folded(EVENTS, 3)
    families = list(text_string_to_metric_families(meters.page().decode()))
    names = {family.name for family in families}
    assert {"headrace_records_folded", "process_cpu_seconds"} <= names
    assert all(n.startswith(("headrace_", "process_", "python_")) for n in names)
    assert all(family.documentation for family in families)
