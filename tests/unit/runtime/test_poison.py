"""A record that makes a stage fail costs that record, and nothing else."""

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Fatal, Retryable
from shared.log.memory import MemoryLog
from shared.log.port import Append
from shared.messages.codec import decode
from shared.messages.streams import (
    CONTROL,
    EVENTS,
    FEATURES,
    OUTCOMES,
    PREDICTIONS,
    REJECTED,
    Stream,
)
from shared.runtime.fuse import Fused
from shared.runtime.poison import MOST_IN_A_ROW
from shared.runtime.runner import Runner
from shared.stage import Out, Record, Service
from tests.kit.toy import Featurize, control, event, label, toy_problem, toy_services

Item = tuple[Stream, bytes]
POISON: Item = (EVENTS, b"no number")
FRESHNESS = 3


def filled(items: Sequence[Item]) -> MemoryLog:
    log = MemoryLog()
    with log.begin("source") as transaction:
        transaction.append(Append(stream, value) for stream, value in items)
    return log


def driven(
    items: Sequence[Item], batch: int, services: Sequence[Service] | None = None, every: int = 50
) -> MemoryLog:
    log, problem = filled(items), toy_problem(FRESHNESS)
    there = services or toy_services(FRESHNESS)
    runner = Runner(log, "g", lambda: Fused(there, problem, None), batch, every)  # type: ignore[arg-type]
    while runner.step():
        pass
    return log


def on(log: MemoryLog, stream: Stream) -> list[Any]:
    return [decode(stream, record.value) for record in log.read([stream], {}, 10_000)]


class Careful(Featurize):
    """The oracle: looks first, and says nothing of what it cannot read."""

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        yield from super().handle([r for r in records if r.value != POISON[1]])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["event", "event", "label", "poison", "garbage"]), max_size=40),
    st.sampled_from([1, 2, 7, 1_000]),
    st.sampled_from([3, 1_000]),
)
def test_the_rest_is_as_if_it_had_never_come(kinds: list[str], batch: int, every: int) -> None:
    items: list[Item] = []
    events = 0
    for kind in kinds:
        if kind == "label":
            items.append(label(events // 2, float(events)))
        elif kind == "garbage":
            items.append((CONTROL, b"{no message"))
        else:
            items.append(POISON if kind == "poison" else event(events))
            events += 1
    log = driven(items, batch, every=every)
    careful = [
        replace(s, build=lambda p, t: Careful()) if s.name == "featurize" else s
        for s in toy_services(FRESHNESS)
    ]
    readable = [item for item in items if item[0] is not CONTROL]
    oracle = driven(readable, 5, careful)
    assert on(log, PREDICTIONS) == on(oracle, PREDICTIONS)
    assert on(log, OUTCOMES) == on(oracle, OUTCOMES)
    found = [(r.topic, b64decode(r.raw)) for r in on(log, REJECTED)]
    bad = [i for i in items if i == POISON or i[0] is CONTROL]
    assert found == [(f"toy.{stream}", value) for stream, value in bad]


def test_the_rejection_says_which_stage_failed_and_how() -> None:
    items = [event(0), (CONTROL, b"{"), POISON, event(1)]
    by_control, by_event = on(driven(items, 1_000), REJECTED)
    assert (by_event.check, by_event.topic, by_event.offset) == ("poison", "toy.events", 1)
    assert "the stage featurize failed on it: ValueError: could not convert" in by_event.reason
    assert by_control.check == "decode"


class Listening(Featurize):
    """Hears of rejections, as the monitor and the console do."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        self.heard += [record.value.check for record in records]
        yield from ()

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        yield "heard", ",".join(self.heard).encode()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        self.heard = entries["heard"].decode().split(",") if entries["heard"] else []


def test_who_reads_rejections_hears_of_it_also_after_a_restart() -> None:
    first, *rest = toy_services(FRESHNESS)
    services = [
        replace(first, writes=(FEATURES, REJECTED)),
        *rest,
        Service("listen", (REJECTED,), (), "per-problem", 9, lambda p, t: Listening()),
    ]
    log = driven([event(0), POISON, event(1), control("c"), event(2)], 2, services)
    problem = toy_problem(FRESHNESS)
    again = Runner(log, "g", lambda: Fused(services, problem, None))  # type: ignore[arg-type]
    assert again.fused.stage("listen").heard == ["poison"]  # type: ignore[attr-defined]


def test_a_stage_that_fails_on_everything_stops_the_run_with_nothing_lost() -> None:
    log = filled([POISON] * (MOST_IN_A_ROW + 5))
    problem = toy_problem(FRESHNESS)
    runner = Runner(log, "g", lambda: Fused(toy_services(FRESHNESS), problem, None), 10)  # type: ignore[arg-type]
    with pytest.raises(Fatal, match="in a row"):
        while runner.step():
            pass
    assert len(on(log, REJECTED)) == MOST_IN_A_ROW
    assert log.position("g") == {"events": MOST_IN_A_ROW}


@pytest.mark.parametrize("error", [Retryable("no answer"), OSError("no disk")])
def test_what_is_no_records_fault_rejects_nothing(error: Exception) -> None:
    class Outside(Featurize):
        def handle(self, records: Sequence[Record]) -> Iterator[Out]:
            raise error

    service = Service("outside", (EVENTS,), (), "per-problem", 0, lambda p, t: Outside())
    with pytest.raises(type(error)):
        driven([event(0)], 10, [service])
