"""Many contests at once are the gate's own, one by one; the sources of pairs are what they say."""

import numpy as np
import pytest

from shared.bench.contests import FIXED_PAIRS, by_gate, decided, fixed, peeked, verdicts
from shared.bench.pairs import Equals, Independent, Turns
from shared.evaluation.gate import Gate, GateRule


def one_by_one(d: np.ndarray, rule: GateRule) -> tuple[int, bool]:
    gate = Gate(rule)
    for value in d.tolist():
        gate.update(float(max(value, 0)), float(max(-value, 0)))
        if gate.state.decision != "continue":
            return gate.state.pairs, gate.state.decision == "promote"
    return 0, False


@pytest.mark.parametrize(
    "rule", [GateRule(), GateRule(least_pairs=64, most_pairs=1_500, margin=0.002, delta=0.02)]
)
def test_many_at_once_are_the_gate_one_by_one(rule: GateRule) -> None:
    r = np.random.default_rng(0)
    runs = np.repeat(r.integers(-1, 2, (3, 3_000 // 40)), 40, axis=1)[:, :3_000]
    parts = [Independent(0.2, gain).draw(3, 3_000, r) for gain in (-0.05, 0.0, 0.02, 0.1)]
    d = np.concatenate([*parts, runs, np.zeros((1, 3_000))]).astype(np.int8)
    at, promoted = verdicts(d, rule)
    expected = [one_by_one(row, rule) for row in d]
    assert list(zip(at.tolist(), promoted.tolist(), strict=True)) == expected
    assert len({made for _, made in expected}) == 2  # some of both


def test_untempered_never_promotes_later() -> None:
    d = Independent(0.2, 0.03).draw(20, 4_000, np.random.default_rng(1))
    d = np.repeat(d, 2, axis=1)  # each pair twice
    calm, eager = by_gate(d), by_gate(d, tempered=False)
    assert np.all(eager[calm > 0] <= calm[calm > 0]) and np.any(eager < calm)


def test_the_plain_tests() -> None:
    better = Independent(0.2, 0.05).draw(5, FIXED_PAIRS, np.random.default_rng(2))
    assert fixed(better).tolist() == [FIXED_PAIRS] * 5
    assert np.all((peeked(better) > 0) & (peeked(better) <= 2_000))
    assert not fixed(-better).any() and not peeked(np.zeros((2, 500), np.int8)).any()
    assert np.array_equal(decided(fixed, np.repeat(better, 30, axis=0)), [FIXED_PAIRS] * 150)


def test_sources_have_the_share_and_the_gain_that_they_say() -> None:
    r = np.random.default_rng(3)
    d = Independent(0.2, 0.02).draw(50, 20_000, r)
    assert np.mean(d != 0) == pytest.approx(0.2, abs=2e-3) and d.mean() == pytest.approx(
        0.02, abs=2e-3
    )
    turns = Turns(0.06, 500).draw(50, 20_000, r)
    blocks = turns.reshape(50, -1, 100).mean(axis=2)
    assert turns.mean() == pytest.approx(0.0, abs=0.01) and blocks.std() > 0.06
    losses = np.array([[0, 1, 1, 0, 0], [1, 1, 0, 0, 1]], np.int8)
    equals = Equals(losses, flip=5).draw(200, 20, r)
    apart = losses[0] - losses[1]
    around = [np.roll(np.tile(apart, 3), -k)[:5] for k in range(5)]
    for five in equals[:, :5]:
        assert any(np.array_equal(abs(five), abs(one)) for one in around)
    assert abs(equals.mean()) < 0.1
