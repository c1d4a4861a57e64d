"""Fused stages: freshness is exact, and nothing depends on where a batch ends."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.log.memory import MemoryLog
from shared.log.port import Append
from shared.messages.codec import decode, encode
from shared.messages.streams import LABELS, OUTCOMES, PREDICTIONS, RAW, Stream
from shared.runtime.fuse import Fused
from shared.runtime.runner import Runner
from shared.stage import Record
from tests.kit.toy import control, event, label, toy_problem, toy_services

Item = tuple[Stream, bytes]


def make(freshness: int) -> Fused:
    return Fused(toy_services(freshness), toy_problem(freshness), tools=None)  # type: ignore[arg-type]


def filled(items: Sequence[Item]) -> MemoryLog:
    log = MemoryLog()
    with log.begin("source") as transaction:
        transaction.append(Append(stream, value) for stream, value in items)
    return log


def written(log: MemoryLog) -> list[tuple[str, int, bytes]]:
    streams = [PREDICTIONS, OUTCOMES, Stream.MODELS]
    return [(str(s), r.offset, r.value) for s in streams for r in log.read([s], {}, 10_000)]


def run(items: Sequence[Item], freshness: int, batch: int) -> list[tuple[str, int, bytes]]:
    log = filled(items)
    runner = Runner(log, "g", lambda: make(freshness), batch_size=batch)
    while runner.step():
        pass
    return written(log)


@st.composite
def streams(draw: st.DrawFn) -> list[Item]:
    """Events, their labels in any later or earlier place, a few control records."""
    n = draw(st.integers(1, 12))
    items: list[Any] = [(float(i), event(i)) for i in range(n)]
    for i in range(n):
        if draw(st.booleans()):
            at = draw(st.floats(-1, n + 1, allow_nan=False))
            items.append((at, label(i, draw(st.integers(0, 9)))))
    if draw(st.booleans()):
        items.append((draw(st.floats(0, n)), control("x")))
    return [item for _, item in sorted(items, key=lambda pair: pair[0])]


@settings(max_examples=150, deadline=None)
@given(items=streams(), freshness=st.integers(1, 5), batch=st.integers(1, 9))
def test_each_event_is_scored_by_exactly_the_outcomes_that_freshness_says(
    items: list[Item], freshness: int, batch: int
) -> None:
    """The oracle walks the arrivals one by one, as the definition reads."""
    known, waiting, labels, expected = 0, set[str](), set[str](), []
    position = 0
    for stream, value in items:
        if stream is LABELS:
            name = value.split(b'"')[3].decode()
            if name in waiting:
                known += 1
            else:
                labels.add(name)
        elif stream is Stream.EVENTS:
            expected.append(f"n{known - known % freshness}")
            name = f"e{position}"
            position += 1
            if name in labels:
                known += 1
            else:
                waiting.add(name)
    rows = run(items, freshness, batch)
    models = [
        row[2].split(b'"model":"')[1].split(b'"')[0].decode()
        for row in rows
        if row[0] == "predictions"
    ]
    assert models == expected


@settings(max_examples=60, deadline=None)
@given(items=streams(), freshness=st.integers(1, 5))
def test_any_batch_size_writes_the_same_bytes(items: list[Item], freshness: int) -> None:
    whole = run(items, freshness, 1_000)
    assert all(run(items, freshness, size) == whole for size in (1, 2, 3))


@settings(max_examples=60, deadline=None)
@given(items=streams(), freshness=st.integers(1, 5), cut=st.integers(0, 20))
def test_restoring_at_any_cut_changes_nothing(items: list[Item], freshness: int, cut: int) -> None:
    decoded = [_decoded(r) for r in filled(items).read(list(Stream), {}, 1_000)]
    whole = make(freshness).handle(decoded)
    first = make(freshness)
    out = first.handle(decoded[:cut])
    entries = {k: v for k, v in first.changes() if v is not None}
    second = make(freshness)
    second.restore(entries)
    assert _by_stream([*out, *second.handle(decoded[cut:])]) == _by_stream(whole)


def _by_stream(records: Sequence[Record]) -> list[tuple[str, int, bytes]]:
    """The order within each stream is promised, how streams interleave is not."""
    return sorted((str(r.stream), r.offset, encode(r.value)) for r in records)


def _decoded(record: Record) -> Record:
    return (
        record
        if record.stream in RAW
        else replace(record, value=decode(record.stream, record.value))
    )
