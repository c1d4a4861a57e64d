"""How an event looks when it comes: the view against a slow one, its text, its robustness."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Reject
from shared.models.arrival import (
    Arrivals,
    memories,
    pack_arrival,
    unpack_arrival,
    view_width,
)
from shared.models.packed import pack, unpack
from shared.models.port import F64
from tests.unit.models.streams import noisy_stream


def slow_view(column: F64, memory: float) -> list[float]:
    """Distance from the running mean before the value, over the running deviation up to it."""
    seen, mean, var, out = 0, 0.0, 0.0, []
    for value in column:
        if not math.isfinite(value):
            out.append(0.0)
            continue
        seen += 1
        mean = value if seen == 1 else mean
        off = value - mean
        if seen > 30 and var > 0:
            off = min(max(off, -100 * math.sqrt(var)), 100 * math.sqrt(var))
        var += max(1 / 500, 1 / seen) * (off * off - var)
        deviation = math.sqrt(var + 1e-12 * mean * mean + 1e-30)
        mean += max(1 / memory, 1 / seen) * off
        out.append(min(max(off / deviation, -6.0), 6.0))
    return out


def test_the_view_is_each_feature_scaled_then_its_distances_from_short_means() -> None:
    x, _ = noisy_stream("binary", 300)
    arrival = Arrivals(4).take(x)
    assert arrival.place.tolist() == list(range(300))
    for h, memory in enumerate((500.0, 8.0, 32.0, 128.0)):
        for j in range(4):
            expected = slow_view(x[:, j], memory)
            np.testing.assert_allclose(arrival.view[:, 4 * h + j], expected, atol=4e-3)


def test_a_distance_from_a_short_mean_sees_what_a_scale_does_not() -> None:
    """A daily wave twice as large as the change that matters."""
    t = np.arange(2000)
    step = np.where(t % 40 < 20, 0.5, -0.5)
    view = Arrivals(1).take((step + 3 * np.sin(t / 300))[:, None]).view[1000:]
    right = [float(((view[:, h] > 0) == (step[1000:] > 0)).mean()) for h in range(4)]
    assert right[0] < 0.7 and right[2] > 0.85


@pytest.mark.parametrize(("n_features", "wide"), [(1, 4), (16, 64), (17, 34), (40, 80), (41, 41)])
def test_many_features_have_few_memories(n_features: int, wide: int) -> None:
    seen = Arrivals(n_features).take(np.ones((1, n_features)))
    assert view_width(n_features) == wide == seen.view.size
    assert memories(n_features)[0] == 500.0


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 1.0, -1e300, 1e-300, np.nan, np.inf, 7.5]), min_size=2),
    st.integers(0, 100),
)
def test_blocks_and_snapshots_change_nothing_and_every_value_is_bounded(
    values: list[float], cut: int
) -> None:
    x, at = np.array(values)[:, None], min(cut, len(values))
    whole, first, second = Arrivals(1), Arrivals(1), Arrivals(1)
    expected = whole.take(x)
    early = first.take(x[:at])
    second.restore(unpack(pack(first.snapshot())))
    late = second.take(x[at:])
    assert np.concatenate([early.view, late.view]).tobytes() == expected.view.tobytes()
    assert np.concatenate([early.place, late.place]).tobytes() == expected.place.tobytes()
    assert pack(second.snapshot()) == pack(whole.snapshot())
    assert np.abs(expected.view).max() <= 6.0


def test_the_text_of_an_arrival_is_the_arrival() -> None:
    x, _ = noisy_stream("binary", 50)
    arrivals = Arrivals(4)
    arrivals.take(x[:20])
    arrival = arrivals.take(x[20:])
    again = unpack_arrival(pack_arrival(arrival), view_width(4))
    assert again.place.tobytes() == arrival.place.tobytes()
    assert again.view.tobytes() == arrival.view.tobytes()
    assert unpack_arrival([], 16).view.shape == (0, 16)


@pytest.mark.parametrize("text", ["", "?", "AAAA", "é"])
def test_a_text_that_no_scorer_wrote_is_rejected(text: str) -> None:
    good = pack_arrival(Arrivals(2).take(np.ones((1, 2))))
    with pytest.raises(Reject, match="arrival"):
        unpack_arrival([*good, text], view_width(2))
