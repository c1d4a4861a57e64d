"""How old the served model is said to be."""

from datetime import UTC, datetime, timedelta

from shared.errors import Retryable
from shared.messages.streams import MODELS, OUTCOMES, Stream
from shared.messages.types import ModelEvent
from shared.runtime.freshness import EVERY_S, Freshness
from shared.runtime.metrics import Meters
from shared.stage import Record

T0 = datetime(2001, 1, 1, tzinfo=UTC)


class World:
    """A clock, an end of `outcomes`, and what the meters say."""

    def __init__(self) -> None:
        self.at_s, self.outcomes, self.is_down = 0.0, 0, False
        self.meters = Meters("scorer", "p", clock=lambda: T0 + timedelta(seconds=self.at_s))
        self.fresh = Freshness(self.meters, self.end, lambda: self.at_s)

    def end(self, stream: Stream) -> int:
        assert stream is OUTCOMES
        if self.is_down:
            raise Retryable("no answer")
        return self.outcomes

    def publish(self, outcomes: int, state: str = "snapshot", champion: str = "v1") -> None:
        event = ModelEvent(
            model="m", state=state, time=T0 + timedelta(seconds=self.at_s),  # type: ignore[arg-type]
            outcomes=outcomes, champion=champion,
        )  # fmt: skip
        self.fresh.follow([Record(MODELS, event)])

    def said(self, name: str, **labels: str) -> float | None:
        labels = {"service": "scorer", "problem": "p", **labels}
        return self.meters.registry.get_sample_value(f"headrace_served_model_{name}", labels)


def test_nothing_is_said_before_the_first_snapshot() -> None:
    world = World()
    world.publish(10, state="shadow")
    world.fresh.measure()
    assert world.said("age_outcomes") is None


def test_age_is_what_came_since_the_snapshot() -> None:
    world = World()
    world.publish(256)
    world.outcomes = 300
    world.fresh.measure()
    assert world.said("age_outcomes") == 44
    assert world.said("info", version="v1") == 1
    world.at_s = EVERY_S - 1
    world.outcomes = 400
    world.fresh.measure()
    assert world.said("age_outcomes") == 44, "asked too often"
    world.at_s = EVERY_S
    world.fresh.measure()
    assert world.said("age_outcomes") == 144
    assert world.said("age_seconds") == EVERY_S


def test_a_replayed_older_snapshot_changes_nothing() -> None:
    world = World()
    world.publish(512, champion="v2")
    world.publish(256, champion="v1")
    world.outcomes = 512
    world.fresh.measure()
    assert world.said("age_outcomes") == 0
    assert world.said("info", version="v2") == 1


def test_a_figure_stops_nobody() -> None:
    world = World()
    world.publish(256)
    world.is_down = True
    world.fresh.measure()
    assert world.said("age_outcomes") is None
    world.is_down, world.at_s = False, EVERY_S
    world.fresh.measure()
    assert world.said("age_outcomes") == 0
