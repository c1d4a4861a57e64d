"""Experts that add nothing sleep, are tried again, and wake when the world changes."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from shared.models.codec import from_bytes, to_bytes
from shared.models.naps import EVERY, FIRST_NAP, LONGEST_NAP, SETTLE, TRIAL, Naps
from shared.models.pool import Pool
from shared.models.port import F64, I64, Scored

FEW = ("softmax", "counts", "neighbours")


def linear(n: int, seed: int = 0) -> tuple[F64, I64]:
    """A stream that neighbours add nothing to."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    return x, (x[:, 0] + 0.5 * rng.normal(size=n) > 0).astype(np.int64)


def parity(n: int) -> tuple[F64, I64]:
    """A stream that only neighbours understand."""
    x = np.random.default_rng(1).uniform(-1, 1, (n, 6))
    x[:, 2:] = 0.0
    return x, ((x[:, 0] > 0) ^ (x[:, 1] > 0)).astype(np.int64)


def follow(pool: Pool, x: F64, y: I64, blocks: Sequence[int], late_by: int = 0) -> Iterator[int]:
    """Test, then train, in blocks; the number of events told after each."""
    told: list[tuple[Scored, slice]] = []
    start = 0
    for size in blocks:
        part = slice(start, start + size)
        start += size
        told.append((pool.predict_many(x[part]), part))
        while told and told[0][1].stop <= start - late_by:
            scored, rows = told.pop(0)
            members = {name: verdict.members for name, verdict in scored.by_version.items()}
            pool.learn_many(x[rows], y[rows], scored.said, members, scored.arrival)
        yield start


def awake(pool: Pool) -> bool:
    return bool(pool.bank.naps.awake[FEW.index("neighbours")])


def test_what_a_family_adds_is_the_loss_without_it_minus_the_loss_with_it() -> None:
    rng = np.random.default_rng(2)
    n, family = 1500, np.array([0, 0, 1, 2])
    said = rng.dirichlet(np.ones(3), (n, 4)).astype(np.float32)
    said[::3, 3] = 1 / 3  # the last family is silent at every third event
    y = rng.integers(0, 3, n)
    naps = Naps(family.tolist(), [10.0] * 3)
    weights = naps.weights = rng.normal(size=4)
    for start in range(0, n, EVERY):
        naps.judge(said[start : start + EVERY], y[start : start + EVERY], 0.01)
    added, heard = np.zeros(3), np.zeros(3)
    for i in range(n):
        terms = weights[:, None] * np.log(np.clip(said[i].astype(float), 0.01, 1.0))

        def loss(scores: F64, label: int = int(y[i])) -> float:
            return float(np.log(np.exp(scores).sum()) - scores[label])

        for f in range(3):
            if f == 2 and i % 3 == 0:
                continue
            heard[f] += 1
            if heard[f] > SETTLE:
                gain = loss(terms[family != f].sum(0)) - loss(terms.sum(0))
                added[f] += (gain - added[f]) / (heard[f] - SETTLE)
    np.testing.assert_allclose(naps.added, added, atol=1e-6)
    np.testing.assert_array_equal(naps.heard, heard)


def test_a_family_that_adds_nothing_sleeps_and_wakes_when_the_world_changes() -> None:
    x, y = linear(6000)
    pool = Pool("binary", 6, experts=FEW)
    slept = [told for told in follow(pool, x, y, [100] * 60) if not awake(pool)]
    assert slept and TRIAL <= slept[0] <= 5000
    assert slept == list(range(slept[0], 6001, 100))
    asleep = pool.predict_many(x[:5])
    columns = [pool.bank.names.index(name) for name in ("knn-2000", "knn-200")]
    assert (asleep.said[:, columns] == 0.5).all()
    x, y = parity(3000)
    woke = [told for told in follow(pool, x, y, [100] * 30) if awake(pool)]
    assert woke and woke[0] <= 2 * EVERY
    right = pool.predict_many(x[2900:]).by_version["1"].mean.argmax(1) == y[2900:]
    assert right.mean() > 0.9


def test_blocks_and_snapshots_change_nothing_where_somebody_falls_asleep() -> None:
    x, y = linear(4000)
    ends = []
    for blocks in ([4000 // 8] * 8, [1999, 777, 1224]):
        scorer, pool = Pool("binary", 6, experts=FEW), Pool("binary", 6, experts=FEW)
        start = 0
        for size in blocks:
            part = slice(start, start + size)
            start += size
            scored = scorer.predict_many(x[part])  # never learns: says the same in any blocks
            members = {name: verdict.members for name, verdict in scored.by_version.items()}
            pool.learn_many(x[part], y[part], scored.said, members, scored.arrival)
            pool = from_bytes(to_bytes(pool))
        ends.append(to_bytes(pool))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("late_by", [0, 3000])
def test_a_nap_ends_in_a_trial_and_the_next_is_twice_as_long(late_by: int) -> None:
    """Only events at which the family spoke count, so late labels do not spoil its trial."""
    naps = Naps([0, 1], [0.0, 10.0])
    y, useful = np.zeros(EVERY, np.int64), np.full((EVERY, 1, 2), [0.9, 0.1], np.float32)
    idle = np.full((EVERY, 1, 2), [0.51, 0.49], np.float32)
    silent = np.full((EVERY, 1, 2), 0.5, np.float32)
    states, told = [], []
    for turn in range(120):
        told.append(idle if naps.awake[1] else silent)
        if turn >= late_by // EVERY:
            said = np.concatenate([useful, told[turn - late_by // EVERY]], axis=1)
            if naps.judge(said, y, 0.05):
                naps.decide(np.array([1.0, 0.01]))
        states.append(bool(naps.awake[1]))
    changes = np.flatnonzero(np.diff(np.array(states, int))) + 1
    first, second = changes[1] - changes[0], changes[3] - changes[2]
    assert (first, second) == (FIRST_NAP // EVERY, 2 * FIRST_NAP // EVERY)
    trial = changes[2] - changes[1]
    assert trial == (math.ceil(TRIAL / EVERY) + late_by // EVERY)
    assert naps.nap[1] <= LONGEST_NAP
    assert naps.awake[0], "what costs nothing never sleeps"
