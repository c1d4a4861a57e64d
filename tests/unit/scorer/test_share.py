"""The canary's share: sticky, and a limit at every event."""

from collections import defaultdict
from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.scorer.canary import Exposed, Share, place_of
from shared.messages.types import Features
from shared.problem.spec import Canary

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def events(keys: list[str | None]) -> list[Features]:
    return [Features(f"e{n}", T0, {}, "f", key) for n, key in enumerate(keys)]


def test_a_share_of_many_keys_is_chosen_and_always_the_same_ones() -> None:
    share = Share("toy", Canary(share=0.05))
    keys = [f"k{n % 1000}" for n in range(40_000)]
    rows = share.chosen("v2", events(keys))
    assert 0.03 < len(rows) / len(keys) <= 0.05
    taken = {keys[row] for row in rows}
    assert all(place_of("toy", "v2", key) < 0.05 for key in taken)
    assert len(taken) < 80
    assert not taken & {k for k in keys if place_of("toy", "v2", k) >= 0.05}


def test_each_version_is_tried_on_other_keys() -> None:
    chosen = [
        {n for n in range(4000) if place_of("toy", version, f"k{n}") < 0.1}
        for version in ("v2", "v3")
    ]
    assert len(chosen[0] & chosen[1]) < 0.2 * len(chosen[0])


def test_by_event_one_key_is_no_obstacle() -> None:
    rows = Share("toy", Canary(by="event")).chosen("v2", events(["NSW"] * 20_000))
    assert 0.035 < len(rows) / 20_000 <= 0.05


@given(
    st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=300),
    st.floats(0.01, 0.5),
    st.lists(st.integers(1, 50), max_size=8),
)
def test_never_more_than_the_share_and_cut_and_restart_change_nothing(
    keys: list[str | None], limit: float, cuts: list[int]
) -> None:
    canary = Canary(share=limit)
    run = events(keys)
    at_once = Share("toy", canary).chosen("v2", run)
    answers = 0
    for row in range(len(run)):
        answers += row in at_once
        assert answers <= limit * (row + 1)
    pieces, state, start = set[int](), b"", 0
    for size in [*cuts, len(run)]:
        share = Share("toy", canary)
        if state:
            share.exposed = msgspec.msgpack.decode(state, type=Exposed)
        pieces |= {start + row for row in share.chosen("v2", run[start : start + size])}
        state, start = msgspec.msgpack.encode(share.exposed), start + size
    assert pieces == at_once


def test_a_key_is_chosen_or_not_but_for_the_limit() -> None:
    by_key = defaultdict[str, set[bool]](set)
    keys = [f"k{n % 400}" for n in range(8000)]
    rows = Share("toy", Canary(share=0.3)).chosen("v2", events(keys))
    for row in range(2000, 8000):
        by_key[keys[row]].add(row in rows)
    for key, seen in by_key.items():
        if place_of("toy", "v2", key) >= 0.3:
            assert seen == {False}, key


def test_without_a_canary_nothing_is_counted() -> None:
    share = Share("toy", None)
    assert share.chosen(None, events(["a"] * 50)) == set()
    assert share.exposed == Exposed()
    share.chosen("v2", events(["a"] * 50))
    share.chosen("v3", events(["a"]))
    assert share.exposed.version == "v3"
    assert share.exposed.events == 1
