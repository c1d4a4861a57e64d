from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Reject
from shared.messages.types import ModelEvent
from shared.registry.lifecycle import ALERTS, JOBS, LIFECYCLES, MODELS, START
from shared.registry.live import Live

T0 = datetime(2020, 1, 1, tzinfo=UTC)


def _event(model: str, state: Any, **fields: Any) -> ModelEvent:
    return ModelEvent(model=model, state=state, time=T0, **fields)


def _live(*steps: tuple[str, str]) -> Live:
    live = Live()
    for model, state in steps:
        live.apply(_event(model, state))
    return live


BORN = (("v1", "champion"), ("v2", "shadow"))


def test_promotion_and_rollback() -> None:
    live = _live(*BORN, ("v3", "shadow"), ("v2", "champion"))
    assert (live.champion, live.previous, live.shadows) == ("v2", "v1", ("v1", "v3"))
    live.apply(_event("v1", "champion"))
    live.apply(_event("v2", "rejected"))
    assert (live.champion, live.previous, live.shadows) == ("v1", None, ("v3",))
    assert [step.was for step in live.history] == ["", "", "", "shadow", "shadow", "shadow"]


def test_the_way_back_closes_when_the_old_champion_retires() -> None:
    live = _live(*BORN, ("v2", "champion"), ("v1", "retired"))
    assert live.previous is None
    assert not live.allows("v1", "champion")


def test_one_canary_at_a_time_and_it_is_remembered() -> None:
    live = _live(*BORN, ("v3", "shadow"), ("v2", "canary"))
    assert live.shadows == ("v2", "v3")
    with pytest.raises(Reject, match="v2 is the canary, and there is one at a time"):
        live.apply(_event("v3", "canary"))
    live.apply(_event("v2", "proposed"))
    assert live.canary is None
    assert live.been("v2", "canary")
    assert not live.been("v3", "canary")


def test_snapshots_are_no_steps() -> None:
    live = _live(*BORN)
    snapshot = _event("v1", "snapshot", blob="b", outcomes=5)
    live.apply(snapshot)
    assert live.snapshot is snapshot
    assert len(live.history) == 2


@pytest.mark.parametrize(
    ("model", "state"),
    [
        ("v1", "retired"),
        ("v1", "shadow"),
        ("v1", "champion"),
        ("v2", "shadow"),
        ("v9", "retired"),
        ("v9", "rejected"),
    ],
)
def test_what_the_table_does_not_have_is_refused_and_changes_nothing(
    model: str, state: str
) -> None:
    live = _live(*BORN)
    before = live.dump()
    assert not live.allows(model, state)
    with pytest.raises(Reject, match="cannot become"):
        live.apply(_event(model, state))
    assert live.dump() == before


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["v1", "v2", "v3", "v4"]),
            st.sampled_from(
                ["shadow", "proposed", "canary", "champion", "rejected", "retired", "snapshot"]
            ),
        ),
        max_size=25,
    ),
    cut=st.integers(0, 25),
)
def test_one_champion_always_and_a_copy_goes_on_alike(
    steps: list[tuple[str, str]], cut: int
) -> None:
    live, twin = Live(), Live()
    for place, (model, state) in enumerate(steps):
        if place == cut:
            twin = Live.load(twin.dump())
        for fold in (live, twin):
            try:
                fold.apply(_event(model, state))
            except Reject:
                assert not fold.allows(model, state)
        champions = [m for m, s in live.states.items() if s == "champion"]
        assert champions == ([live.champion] if live.champion else [])
        assert live.previous is None or live.previous in live.shadows
        canaries = [m for m, s in live.states.items() if s == "canary"]
        assert canaries == ([live.canary] if live.canary else [])
        assert set(canaries) <= set(live.shadows)
    assert live.dump() == twin.dump()


def test_the_tables_make_sense() -> None:
    for life in LIFECYCLES:
        reached, frontier = set(), [START]
        while frontier:
            state = frontier.pop()
            for then in life.after(state):
                if then not in reached:
                    reached.add(then)
                    frontier.append(then)
        assert reached == set(life.states)
        assert all(why for why in life.steps.values())
        assert "[*] -->" in life.diagram()
    for verdict in ("accepted", "rejected", "failed"):
        assert JOBS.after(verdict) == ("settled",)
    assert JOBS.after("settled") == JOBS.after("cancelled") == ()
    assert ALERTS.after("resolved") == ()
    assert MODELS.after("retired") == ()


def test_the_tables_name_the_states_of_the_messages() -> None:
    from typing import get_args, get_type_hints

    from shared.messages.types import Alert, Job

    for life, message, extra in (
        (JOBS, Job, set()), (MODELS, ModelEvent, {"snapshot"}), (ALERTS, Alert, set())
    ):  # fmt: skip
        assert set(life.states) | extra == set(get_args(get_type_hints(message)["state"]))
