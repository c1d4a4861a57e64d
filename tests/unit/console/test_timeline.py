"""The time line against slow recounts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.console.spread import Spread
from services.console.timeline import (
    CHUNK,
    MOST,
    Point,
    Timeline,
    cumulative,
    half_width,
    newest,
    windowed,
)


def line(losses: list[float], every: int = 1) -> list[Point]:
    """A point after every `every`-th loss."""
    total, points = 0.0, []
    for n, loss in enumerate(losses, 1):
        total += loss
        if n % every == 0:
            points.append(Point(n, n, 0, float(n), {"a": (n, total, total)}))
    return points


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 1).map(float), min_size=1, max_size=80),
    st.integers(1, 30),
    st.integers(1, 5),
)
def test_windows_are_means_of_the_newest(losses: list[float], window: int, every: int) -> None:
    points = line(losses, every)
    for point, value in zip(points, windowed(points, "a", window), strict=True):
        n = point.predictions
        start = max((m for m in range(0, n, every) if m <= n - window), default=0)
        assert value == pytest.approx(np.mean(losses[start:n]))
    for point, value in zip(points, cumulative(points, "a"), strict=True):
        assert value == pytest.approx(np.mean(losses[: point.predictions]))


def test_gaps_where_nothing_was_scored() -> None:
    points = [Point(n, n, 0, 0.0, {"a": (min(n, 5), 1.0, 0.0)}) for n in range(1, 30)]
    found = windowed(points, "a", 10)
    assert found[5] is not None and found[-1] is None
    assert windowed(points, "b", 10) == [None] * 29


def test_thinning_keeps_whole_multiples_and_survives_a_restore() -> None:
    timeline = Timeline()
    entries: dict[str, bytes] = {}
    for n in range(1, 40_001):
        if timeline.due(n):
            timeline.add(Point(n, n, 0, float(n), {}))
        if n % 1_900 == 0:
            for key, value in timeline.changes():
                if value is None:
                    entries.pop(key, None)
                else:
                    entries[key] = value
    assert MOST // 2 - 1 <= len(timeline.points) < MOST
    gaps = {b.predictions - a.predictions for a, b in zip(timeline.points, timeline.points[1:])}  # noqa: B905
    assert gaps == {timeline.step}
    for key, value in timeline.changes():
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value
    chunks = -(-len(timeline.points) // CHUNK)
    assert set(entries) == {"timeline", *(f"points:{chunk}" for chunk in range(chunks))}
    other = Timeline()
    other.restore(entries)
    assert (other.points, other.step) == (timeline.points, timeline.step)


def test_the_interval_is_honest_about_runs() -> None:
    """About 95 % coverage on independent errors, and no less when errors come in runs."""
    rng = np.random.default_rng(0)
    for run in (1, 20):
        covered = []
        for _ in range(300):
            losses = np.repeat(rng.random(3_000 // run) < 0.2, run).astype(float)
            found = half_width(line(losses.tolist(), 10), "a", 1)
            assert found is not None
            covered.append(abs(losses.mean() - 0.2) <= found[0])
        assert np.mean(covered) > 0.9, run


def test_the_interval_of_a_later_part_rests_on_that_part() -> None:
    losses = (np.random.default_rng(0).random(20_000) < 0.2).astype(float).tolist()
    points = newest(line(losses, 10), "a", 1_000)
    assert points[-1].predictions - points[0].predictions == 1_000
    found = half_width(points, "a", 1, begun=True)
    assert found is not None and 0.015 < found[0] < 0.04  # 1.96 * sqrt(.2 * .8 / 1000) = .025


def test_too_few_blocks_give_no_interval() -> None:
    assert half_width(line([0.0, 1.0] * 3), "a", 1) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=200), st.sampled_from([0.1, 0.5, 0.9]))
def test_quantiles_within_5_percent(values: list[float], share: float) -> None:
    spread = Spread()
    for value in values:
        spread.add(value)
    exact = sorted(values)[max(0, int(np.ceil(share * len(values))) - 1)]
    found = spread.quantile(share)
    assert found is not None and exact / 1.051 <= found <= exact * 1.051
