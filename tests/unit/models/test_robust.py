"""The default pool on what streams really hold: never an exception, never a NaN, memory that stays."""

import gc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.bench.course import _resident_mb, go
from shared.bench.headrace_learner import HeadraceLearner
from shared.bench.streams import Stream
from shared.models.codec import from_bytes, to_bytes
from shared.models.pool import Pool
from shared.models.port import F64, Labels, Task

N = 60
Column = Callable[[np.random.Generator, int], F64]


def _half(first: float | None, second: float | None) -> Column:
    """Another value, or real ones (None), in the second half."""

    def column(r: np.random.Generator, n: int) -> F64:
        found = r.normal(size=n)
        for part, value in ((slice(0, n // 2), first), (slice(n // 2, n), second)):
            if value is not None:
                found[part] = value
        return found

    return column


COLUMNS: dict[str, Column] = {
    "normal": lambda r, n: r.normal(size=n),
    "missing now and then": lambda r, n: np.where(r.random(n) < 0.5, np.nan, r.normal(size=n)),
    "never there": lambda r, n: np.full(n, np.nan),
    "vanishes": _half(None, np.nan),
    "appears": _half(np.nan, None),
    "constant": lambda r, n: np.full(n, 7.0),
    "goes live": _half(0.0, None),
    "freezes": _half(None, -3.0),
    "infinite": lambda r, n: r.choice([np.inf, -np.inf, 1.0], n),
    "huge": lambda r, n: r.choice([1e308, -1e308, 1e300], n),
    "tiny": lambda r, n: r.choice([5e-324, -1e-300, 1e-308], n),
    "all scales": lambda r, n: r.choice([-1.0, 1.0], n) * 10.0 ** r.uniform(-300, 300, n),
    "heavy tails": lambda r, n: r.standard_cauchy(n) ** 3,
    "far from zero": lambda r, n: 1e15 + r.normal(size=n),
    "new categories all the time": lambda r, n: np.arange(n, dtype=np.float64),
    "unseen category": _half(2.0, 1e6),
}
LABELS: dict[str, Callable[[np.random.Generator, int, int], Labels]] = {
    "noise": lambda r, n, k: r.integers(0, k, n),
    "one class at the start": lambda r, n, k: np.where(np.arange(n) < n // 2, 0, k - 1),
    "one class only": lambda r, n, k: np.zeros(n, np.int64),
    "classes in turn": lambda r, n, k: np.arange(n) % k,
}
TARGETS: dict[str, Column] = {
    **{name: COLUMNS[name] for name in ("normal", "constant", "freezes", "heavy tails", "huge")},
    **{name: COLUMNS[name] for name in ("tiny", "all scales", "far from zero", "goes live")},
}


def check(stream: Stream, delay: int, block: int) -> None:
    lap = go(lambda: HeadraceLearner(stream, 1), stream, delay, block)
    assert lap.said.shape[0] == len(stream.x)
    assert np.isfinite(lap.said).all()
    if not stream.regression:
        assert (lap.said >= 0).all()
        np.testing.assert_allclose(lap.said.sum(axis=1), 1.0, atol=1e-6)
    elif lap.intervals is not None:
        given = lap.intervals[~np.isnan(lap.intervals[:, 0])]
        assert np.isfinite(given).all() and (given[:, 0] <= given[:, 1]).all()


many = st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=6)
delays, blocks = st.sampled_from([0, 3, 45]), st.sampled_from([1, 7, N])


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(many, st.sampled_from(sorted(LABELS)), st.sampled_from([2, 3, 9]), delays, blocks)
@example(sorted(COLUMNS), "noise", 3, 3, 1)
def test_any_features_any_classes(
    columns: list[str], labels: str, k: int, delay: int, block: int
) -> None:
    r = np.random.default_rng(len(columns))
    x = np.column_stack([COLUMNS[name](r, N) for name in columns])
    y = LABELS[labels](r, N, k).astype(np.int64)
    check(Stream("any", x, y, tuple(range(k))), delay, block)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(many, st.sampled_from(sorted(TARGETS)), delays, blocks)
@example(sorted(COLUMNS), "huge", 0, 1)
@example(["normal"], "all scales", 0, 1)
def test_any_features_any_targets(columns: list[str], target: str, delay: int, block: int) -> None:
    r = np.random.default_rng(len(columns))
    x = np.column_stack([COLUMNS[name](r, N) for name in columns])
    check(Stream("any", x, TARGETS[target](r, N)), delay, block)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("n_features", [1, 17, 121, 1000])
def test_one_to_a_thousand_features(n_features: int, classes: int) -> None:
    r = np.random.default_rng(n_features)
    x = r.normal(size=(N, n_features))
    x[r.random(x.shape) < 0.1] = np.nan
    y = r.integers(0, classes, N) if classes else r.normal(size=N)
    check(Stream("wide", x, y, tuple(range(classes))), 3, 5)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_memory_is_flat_over_a_long_run(task: Task) -> None:
    """After the warm-up neither the state nor the process grows, and the bytes still restore."""
    r, block = np.random.default_rng(0), 256
    pool = Pool(task, 6)

    def live(blocks: int) -> tuple[int, float]:
        for _ in range(blocks):
            x = r.standard_cauchy((block, 6))
            signal = np.sin(x[:, 0]) + 0.3 * r.normal(size=block)
            y = signal if task == "regression" else (signal > 0).astype(np.int64)
            scored = pool.predict_many(x)
            members = {name: verdict.members for name, verdict in scored.by_version.items()}
            pool.learn_many(x, y, scored.said, members, scored.arrival, scored.layout)
        gc.collect()
        return sum(array.nbytes for array in pool.snapshot().values()), _resident_mb()

    live(60)
    _, early_mb = live(20)
    state_size_bytes, late_mb = live(120)
    assert late_mb - early_mb < 8
    assert state_size_bytes < 48 * 2**20
    assert to_bytes(from_bytes(to_bytes(pool))) == to_bytes(pool)
