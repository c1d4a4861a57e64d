"""The course: who knows which label when; the peers' adapters; the figures."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bench.anchored_learner import AnchoredLearner
from shared.bench.contestants import contestants
from shared.bench.course import Lap, Learner, go
from shared.bench.headrace_learner import HeadraceLearner
from shared.bench.judging import ahead, judge, recovery, standard_error
from shared.bench.learning import Entry, Heat, best_peer, error_ratio
from shared.bench.plain import Constant, NoChange
from shared.bench.streams import Stream
from shared.errors import UsageError
from shared.models.port import F64
from tests.unit.models.streams import noisy_stream


def a_stream(n: int = 200, classes: int = 2, changes: tuple[int, ...] = ()) -> Stream:
    x, y = noisy_stream({0: "regression", 2: "binary", 3: "multiclass"}[classes], n)
    return Stream("made-up", x, y, tuple(range(classes)), changes)


class Witness(Learner):
    """Says how many labels it knows."""

    def __init__(self) -> None:
        self.learned: list[int] = []

    def predict_many(self, start: int, end: int) -> F64:
        return np.full((end - start, 2), len(self.learned))

    def learn_many(self, start: int, end: int) -> None:
        self.learned.extend(range(start, end))


@settings(max_examples=40)
@given(delay=st.integers(0, 60), block=st.integers(1, 30))
def test_every_label_is_learned_once_in_order_and_not_before_it_came(
    delay: int, block: int
) -> None:
    stream, witness = a_stream(), Witness()
    lap = go(lambda: witness, stream, delay, block)
    known = lap.said[:, 0]
    for t in range(len(stream.y)):
        first_of_block = t - t % block
        assert known[t] == max(0, first_of_block - delay)
    assert witness.learned == list(range(max(0, len(stream.y) - delay)))


def test_a_learner_that_takes_too_long_is_stopped() -> None:
    class Slow(Witness):
        def learn_many(self, start: int, end: int) -> None:
            sum(range(20_000))

    lap = go(Slow, a_stream(2_000), most_s=1e-6)
    assert 0 < len(lap.said) < 2_000


def test_anchors_join_late_and_learn_from_no_label_that_had_not_come() -> None:
    stream, delay, flipped = a_stream(1_060), 40, 600
    told = {}
    for name, y in (("true", stream.y), ("flipped", stream.y ^ (np.arange(1_060) >= flipped))):
        made = AnchoredLearner(replace(stream, y=y), 1)
        told[name] = go(lambda made=made: made, stream, delay).said  # type: ignore[misc]
        if name == "true":
            heard = list(made.pool.bank.anchors)
    assert heard == ["boosting-500", "view-boosting-500"]  # the next ones join at label 1,200
    known = flipped + delay + 1
    assert np.array_equal(told["true"][:known], told["flipped"][:known])
    assert not np.array_equal(told["true"][known:], told["flipped"][known:])


@pytest.mark.parametrize("classes", [0, 2])
def test_blocks_and_delays_hand_the_pool_what_was_said(classes: int) -> None:
    """Whatever the block, a pool that learned the same labels says the same."""
    stream = a_stream(150, classes)
    late, blocks = HeadraceLearner(stream, 1), HeadraceLearner(stream, 1)
    for i in range(150):
        late.predict_many(i, i + 1)
        if i >= 20:
            late.learn_many(i - 20, i - 19)
    for i in range(0, 150, 30):
        blocks.predict_many(i, i + 30)
    blocks.learn_many(0, 100)
    late.learn_many(130, 150)
    blocks.learn_many(100, 150)
    assert late.state_mb() == blocks.state_mb() > 0
    intervals = late.intervals()
    if classes:
        assert intervals is None
    else:
        assert intervals is not None and intervals.shape == (150, 2)
        assert np.isnan(intervals[0]).all() and np.isfinite(intervals[-1]).all()


def test_baselines_know_only_what_came() -> None:
    stream = a_stream(300)
    last = go(lambda: NoChange(stream), stream, 4).said.argmax(axis=1)
    np.testing.assert_array_equal(last[5:], stream.y[:-5])
    most = go(lambda: Constant(stream), stream).said.argmax(axis=1)
    counts = np.cumsum(np.eye(2)[stream.y], axis=0)
    np.testing.assert_array_equal(most[1:], counts[:-1].argmax(axis=1))
    numbers = a_stream(300, 0)
    mean = go(lambda: Constant(numbers), numbers).said[1:, 0]
    assert mean == pytest.approx((np.cumsum(numbers.y) / np.arange(1, 301))[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_every_peer_of_river_finishes_the_course(classes: int) -> None:
    stream = a_stream(60, classes)
    for contestant in contestants(stream, ("arf", "srp", "levbag", "amf", "linear")):
        if contestant.family != "headrace" and not contestant.model.endswith("-100"):
            lap = go(contestant.prepare(stream, 1), stream, 3)
            assert np.isfinite(lap.said).all(), contestant.model
            assert judge(stream, [lap], 3).figures


def test_peers_have_names() -> None:
    with pytest.raises(UsageError, match=r"arv.*baselines, arf"):
        contestants(a_stream(), ("arv",))


def as_lap(said: F64) -> Lap:
    return Lap(said, 10.0, 1.0, 100.0)


def test_figures_of_a_lap_that_knows_the_labels_half_the_time() -> None:
    stream = a_stream(400)
    right = np.eye(2)[stream.y] * 0.8 + 0.1
    wrong = right[:, ::-1]
    half = np.where(np.arange(400)[:, None] < 200, right, wrong)
    judged = judge(stream, [as_lap(half), as_lap(right)], 0)
    assert judged.value == pytest.approx(0.75) and judged.seed_error == pytest.approx(0.25)
    one = judge(stream, [as_lap(half)], 0)
    assert one.seed_error is None
    assert one.figures["ece"] == pytest.approx(0.4)
    assert one.figures["brier"] == pytest.approx((0.02 + 1.62) / 2)
    assert one.figures["log_loss"] == pytest.approx(-(np.log(0.9) + np.log(0.1)) / 2)
    gain, sure = ahead(judge(stream, [as_lap(right)], 0), one)
    assert gain == pytest.approx(0.5) and sure > 0


def test_errors_in_runs_are_less_sure_than_scattered_ones() -> None:
    scattered = (np.arange(4096) % 4 == 0).astype(float)
    in_runs = np.sort(scattered.reshape(16, -1), axis=1).ravel()
    assert standard_error(in_runs) > 3 * standard_error(scattered) > 0


def test_recovery_counts_rows_until_the_level_is_back() -> None:
    losses = np.zeros(9_000)
    losses[3_000:3_500] = 1.0
    losses[6_000:] = 1.0
    assert recovery(losses[:6_000], (3_000,), 0) == (500 + 200 - 2, 0)
    assert recovery(losses, (3_000, 6_000), 0) == ((698 + 3_000) / 2, 1)
    assert recovery(losses, (100, 8_950), 0) is None


def test_the_best_peer_is_one_that_went_all_the_way() -> None:
    stream = a_stream(400)
    right = np.eye(2)[stream.y]
    named = contestants(stream, ("baselines",))
    said = {
        "headrace": right,
        "headrace-256": right,
        "headrace-anchors": right,
        "majority": right[:50],
        "no-change": 1 - right,
    }
    heat = Heat(stream, [Entry(c, judge(stream, [as_lap(said[c.model])], 0)) for c in named])
    best = best_peer(heat)
    assert best is not None and best.contestant.model == "no-change"
    ratio = error_ratio([heat])
    assert ratio is not None and ratio < 1e-6
    assert error_ratio([Heat(stream, [Entry(named[0], None, "why")])]) is None
