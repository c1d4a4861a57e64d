"""Profiles: against pandas over all rows, in any order, any cuts, merged from any parts."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Reject
from shared.features.profile.block import Block
from shared.features.profile.column import DISTINCT_ERROR, Column, distance
from shared.features.profile.kernel import BINS, HASHES
from shared.features.profile.tiles import KEPT, Tiles, merged

F64 = npt.NDArray[np.float64]
NAMES = ("a", "b", "c")
DAY_S = 86_400.0


def numbers(seed: int, n: int) -> F64:
    """Three columns: few values, an offset one, a heavy-tailed one about zero; some missing."""
    draw = np.random.default_rng(seed)
    few = draw.choice([-0.0, 0.0, 1.5, -7.0, 1e300], n)
    warm = draw.normal(293.0, 2.0, n) + few.clip(-1, 1)
    wild = draw.standard_cauchy(n) * 10.0 ** draw.integers(-12, 12, n)
    rows = np.column_stack([few, warm, wild])
    rows[draw.random((n, 3)) < 0.1] = np.nan
    return rows


def block(rows: F64) -> Block:
    made = Block(NAMES)
    made.add(rows)
    return made


def sketches(made: Block) -> dict[str, Any]:
    """What must agree to the bit."""
    used = np.arange(BINS + 1) < made.bins[:, :1]
    held = np.arange(HASHES) < made.counted[:, 2:]
    return {
        "counted": made.counted.tolist(), "extremes": made.moments[:, :2].tolist(),
        "bins": made.bins.tolist(), "keys": made.keys[used].tolist(),
        "counts": made.counts[used].tolist(), "hashes": made.hashes[held].tolist(),
    }  # fmt: skip


def oracle(values: F64) -> F64:
    return np.sort(values[np.isfinite(values)] + 0.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3_000), st.integers(1, 6))
def test_merged_parts_are_one_profile_of_all_in_any_order(seed: int, n: int, parts: int) -> None:
    rows = numbers(seed, n)
    whole = block(rows)
    mixed = rows[np.random.default_rng(seed + 1).permutation(n)]
    together = Block(NAMES)
    for part in np.array_split(mixed, parts):
        together.absorb(Block.unpack(block(part).pack()))
    assert sketches(together) == sketches(whole)
    np.testing.assert_allclose(together.moments[1:], whole.moments[1:], rtol=1e-6)
    r, counted = whole.correlation()
    also, also_counted = together.correlation()
    np.testing.assert_allclose(also[:2, :2], r[:2, :2], atol=1e-9)
    assert (also_counted == counted).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(width=64) | st.none(), max_size=900), st.lists(st.integers(0, 900)))
def test_every_figure_of_any_floats(given: list[float | None], cuts: list[int]) -> None:
    rows = np.array(given, np.float64).reshape(-1, 1)
    made = Block(["x"])
    for part in np.split(rows, sorted(cuts)):
        made.add(part)
    whole = Block(["x"])
    whole.add(rows)
    assert made.pack() == whole.pack()
    check(made.column("x"), rows[:, 0])


def check(column: Column, values: F64) -> None:
    """Every figure beside the sorted values, within the stated error."""
    there = oracle(values)
    assert (column.n, column.missing) == (len(there), len(values) - len(there))
    assert column.counts.sum() == column.n
    if not len(there):
        assert np.isnan(column.quantile(0.5))
        return
    assert (column.low, column.high) == (there[0], there[-1])
    low, high = column.edges
    for q in (0.0, 0.01, 0.25, 0.5, 0.9, 1.0):
        true = np.quantile(there, q, method="inverted_cdf")
        at = np.searchsorted(column.counts.cumsum(), max(1, np.ceil(q * len(there))))
        assert low[at] <= true <= high[at]
        assert column.quantile(q) == low[at] / 2 + high[at] / 2
    counted = Counter(there.tolist())
    assert column.exact == (len(counted) <= BINS)
    if column.exact:
        assert column.distinct == len(counted)
        assert dict(column.top(BINS)) == counted


@pytest.mark.parametrize("seed", range(3))
def test_beside_pandas(seed: int) -> None:
    rows = numbers(seed, 20_000)
    frame = pd.DataFrame(rows, columns=list(NAMES))
    made = block(rows)
    for name in NAMES:
        column, series = made.column(name), frame[name].dropna()
        check(column, rows[:, NAMES.index(name)])
        assert abs(column.distinct / series.nunique() - 1) < 1.5 * DISTINCT_ERROR
        for q in (0.05, 0.5, 0.95):
            true = float(np.quantile(series, q, method="inverted_cdf"))
            assert abs(column.quantile(q) - true) <= column.relative_error * abs(true)
    warm = made.column("b")
    assert warm.relative_error < 1e-3  # an offset costs no resolution
    assert warm.mean == pytest.approx(frame["b"].mean(), rel=1e-12)
    assert warm.deviation == pytest.approx(frame["b"].std(), rel=1e-9)


def test_correlation_beside_pandas_with_missing_values_and_a_constant() -> None:
    draw = np.random.default_rng(5)
    x = draw.normal(1e6, 1.0, 4_000)
    rows = np.column_stack([x, x + draw.normal(0, 2.0, 4_000), np.full(4_000, 3.0)])
    rows[draw.random(rows.shape) < 0.2] = np.nan
    r, counted = block(rows).correlation()
    frame = pd.DataFrame(rows)
    np.testing.assert_allclose(r[:2, :2], frame.corr().to_numpy()[:2, :2], atol=1e-9)
    assert np.isnan(r[2, :2]).all()  # a constant has none
    there = frame.notna().astype(int)
    assert (counted == (there.T @ there).to_numpy()).all()


def test_shares_and_distance_beside_counting() -> None:
    draw = np.random.default_rng(3)
    first, second = draw.normal(0, 1, 200), draw.normal(0.5, 1, 150)  # few enough to be exact
    one, other = Block(["x"]), Block(["x"])
    one.add(first[:, None])
    other.add(second[:, None])
    cuts = [-4.0, -1.0, 0.0, 1.0, 4.0]
    shares = one.column("x").shares(cuts)
    np.testing.assert_allclose(shares, np.histogram(first, cuts)[0] / 200)
    at = np.concatenate([first, second])
    true = max(abs((first <= x).mean() - (second <= x).mean()) for x in at)
    assert distance(one.column("x"), other.column("x")) == pytest.approx(true)
    small = distance(one.column("x").smaller(16), other.column("x"))
    assert 0.5 * true < small <= true


def test_what_is_no_profile_is_refused() -> None:
    with pytest.raises(Reject, match="no profile"):
        Block.unpack(b"\x93nothing")


def stream(seed: int, n: int) -> tuple[F64, F64]:
    """Event times that go on, with late ones and jumps; rows."""
    draw = np.random.default_rng(seed)
    steps = draw.choice([0.0, 0.1, 0.4, 30.0], n, p=[0.2, 0.5, 0.28, 0.02]) * DAY_S
    late = draw.choice([0.0, 0.0, 0.0, 3.0, 40.0], n) * DAY_S * draw.random(n)
    return 8e8 + steps.cumsum() - late, numbers(seed, n)


def folded(times_s: F64, rows: F64, step: int, restart: bool = False) -> dict[str, bytes]:
    """The state after calls of `step` rows; `restart`: saved and restored between calls."""
    tiles, kept = Tiles(NAMES, DAY_S), dict[str, bytes]()
    for at in range(0, len(rows), step):
        tiles.add(times_s[at : at + step], rows[at : at + step])
        if restart:
            take(tiles, kept)
            tiles = Tiles(NAMES, DAY_S)
            tiles.restore(kept)
    take(tiles, kept)
    return kept


def take(tiles: Tiles, kept: dict[str, bytes]) -> None:
    for name, data in tiles.changes():
        if data is None:
            kept.pop(name, None)
        else:
            kept[name] = data


@pytest.mark.parametrize("seed", range(3))
def test_tiles_do_not_depend_on_cuts_or_restarts(seed: int) -> None:
    times_s, rows = stream(seed, 700)
    whole = folded(times_s, rows, 700)
    assert folded(times_s, rows, 13) == whole
    assert folded(times_s, rows, 37, restart=True) == whole


@pytest.mark.parametrize("seed", range(3))
def test_tiles_hold_all_rows_apart_by_time_and_stay_few(seed: int) -> None:
    times_s, rows = stream(seed, 2_000)
    tiles = Tiles(NAMES, DAY_S)
    tiles.add(times_s, rows)
    parts = tiles.tiles()
    assert all(a.end_s <= b.start_s for a, b in pairwise(parts))
    for tile in parts:
        inside = (times_s >= tile.start_s) & (times_s < tile.end_s)
        assert sketches(tile.block) == sketches(block(rows[inside]))
    assert sketches(merged(parts, NAMES)) == sketches(block(rows))
    days = (times_s.max() - times_s.min()) / DAY_S
    assert len(parts) <= (KEPT + 2) * (1 + np.ceil(np.log2(days / KEPT)))
    assert parts[-1].end_s - parts[-1].start_s == DAY_S


def test_a_state_of_other_columns_is_left_behind() -> None:
    kept = folded(*stream(1, 100), 100)
    tiles = Tiles(("a", "b"), DAY_S)
    tiles.restore(kept)
    tiles.add(np.array([8e8]), np.zeros((1, 2)))
    take(tiles, kept)
    again = Tiles(("a", "b"), DAY_S)
    again.restore(kept)
    assert [tile.block.rows for tile in again.tiles()] == [1]
