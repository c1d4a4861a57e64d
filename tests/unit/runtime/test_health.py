"""Probes tell the truth about the loop."""

from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.health import Health


class Clock:
    def __init__(self) -> None:
        self.at_s = 0.0

    def __call__(self) -> float:
        return self.at_s


def health(limit_s: float = 10.0) -> tuple[Health, Clock]:
    clock = Clock()
    return Health(["scorer"], limit_s, clock), clock


def test_a_new_process_lives_and_is_not_ready() -> None:
    probed, _ = health()
    assert probed.liveness().ok
    assert not probed.readiness().ok
    assert "starting" in probed.readiness().why


def test_a_start_that_never_ends_is_not_alive() -> None:
    probed, clock = health()
    clock.at_s = 11.0
    assert not probed.liveness().ok
    assert "no turn in the first 11 s; the limit is 10 s" in probed.liveness().why


def test_standing_by_is_ready_only_for_who_says_so() -> None:
    probed, _ = health()
    probed.turned()
    probed.ready("another instance works", standby=True)
    assert not probed.readiness().ok
    assert probed.readiness().why == "another instance works"
    assert probed.readiness(standby_counts=True).ok


def test_waiting_for_something_broken_is_not_standing_by() -> None:
    probed, _ = health()
    probed.ready("Kafka does not answer")
    assert not probed.readiness(standby_counts=True).ok


def test_at_work_again_after_trouble() -> None:
    probed, _ = health()
    probed.ready("Kafka does not answer")
    probed.ready(None)
    assert probed.readiness().ok
    assert probed.readiness().why == ""


@given(
    st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=20),
    st.booleans(),
)
def test_alive_means_a_turn_within_the_limit(steps: list[tuple[float, bool]], works: bool) -> None:
    probed, clock = health()
    last_s = 0.0
    if works:
        probed.ready(None)
    for pause_s, turns in steps:
        clock.at_s += pause_s
        if turns:
            probed.turned()
            last_s = clock.at_s
        alive = clock.at_s - last_s <= 10.0
        assert probed.liveness().ok is alive
        assert probed.readiness().ok is (alive and works)
