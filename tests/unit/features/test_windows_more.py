"""Quantiles, distinct values, sessions, tiles, what fades, how long ago: against pandas over everything
that the key ever had, with late, repeated and shuffled events; saved and restored at a cut.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.feature_set import FeatureSet
from shared.messages.types import Valid
from shared.problem.spec import Problem
from tests.kit.folding import folded

EVENTS = int(os.environ.get("HEADRACE_FUZZ_WINDOWS", "5000"))
LENGTH = 200
START = datetime(2024, 3, 30, 22, tzinfo=UTC)
ORDER = ["distinct", "q05", "q25", "median", "q75", "q95"]
MERGED = ["count", "sum", "mean", "min", "max", "std", "range", "last", "trend", "rate"]
FEATURES: list[dict[str, Any]] = [
    {"kind": "window", "field": "x", "of": [*ORDER, "mean"], "size": 7},
    {"kind": "window", "field": "x", "of": ORDER, "span": "20m", "include_now": False},
    {"kind": "window", "field": "x", "of": MERGED, "tumbling": "15m", "minus_now": True},
    {"kind": "window", "field": "x", "of": MERGED, "session": "6m"},
    {"kind": "window", "field": "x", "of": ["count", "mean"], "session": "3m", "include_now": False},
    {"kind": "window", "field": "x", "of": [*MERGED, *ORDER], "tumbling": "20m"},
    {"kind": "window", "field": "x", "of": [*MERGED, *ORDER], "session": "4m"},
    {"kind": "window", "field": "x", "of": ORDER, "session": "5m", "include_now": False},
    {"kind": "window", "field": "x", "of": MERGED, "span": "25m"},
    {"kind": "decayed", "field": "x", "half_life": "10m"},
    {"kind": "since", "name": "pause"},
    {"kind": "since", "name": "since_high", "formula": "x > 4"},
]  # fmt: skip


def problem(features: list[dict[str, Any]], **more: Any) -> Problem:
    fields = {"k": {"type": "text"}, "x": {"type": "number"}}
    return Problem.model_validate(
        {"name": "p", "goal": "g", "task": "binary", "label": {"field": "l"},
         "events": {"key": "k", "fields": fields, **more}, "features": features}
    )  # fmt: skip


def stream(seed: int, size: int) -> list[Valid]:
    """Ties, gaps, late and repeated events, a shuffled stretch. Drawn from a seed."""
    draw = np.random.default_rng(seed)
    now, events = START, list[Valid]()
    for n in range(size):
        now += timedelta(
            minutes=float(draw.choice([0, 0.5, 1, 2, 5, 7, 30], p=[0.2] * 4 + [0.1, 0.05, 0.05]))
        )
        x = None if draw.random() < 0.15 else float(draw.integers(-3, 6))
        time = now - timedelta(minutes=float(draw.integers(0, 9))) * bool(draw.random() < 0.2)
        events.append(Valid(str(n), time, {"x": x}, "ab"[draw.integers(2)]))
        if draw.random() < 0.1:
            events.append(events[draw.integers(len(events))])
    part = events[size // 3 : size // 2]
    events[size // 3 : size // 2] = [part[i] for i in draw.permutation(len(part))]
    return events


class Oracle:
    """Lists of everything, and pandas over them. A late event counts as of the key's newest time."""

    def __init__(self) -> None:
        self.past: dict[str | None, tuple[list[datetime], list[float]]] = {}

    def features(self, valid: Valid) -> dict[str, Any]:
        times, values = self.past.setdefault(valid.key, ([], []))
        x = valid.fields["x"]
        times.append(max([valid.time, *times]))
        values.append(np.nan if x is None else x)
        series, now = pd.Series(values, index=pd.DatetimeIndex(times)), pd.Timestamp(times[-1])
        before = series.iloc[:-1]
        row: dict[str, Any] = {"x": x}
        row |= self._order(series.iloc[-7:], "7") | {"x_mean_7": series.iloc[-7:].mean()}
        row |= self._order(before[before.index > now - pd.Timedelta("20m")], "20m")
        tile = series[series.index.floor("15min") == now.floor("15min")]
        row |= self._merged(tile, "tumbling_15m")
        row["x_minus_mean_tumbling_15m"] = None if x is None else x - tile.mean()
        row |= self._merged(self._session(series, "6m"), "session_6m")
        tile = series[series.index.floor("20min") == now.floor("20min")]
        row |= self._merged(tile, "tumbling_20m") | self._order(tile, "tumbling_20m")
        mine = self._session(series, "4m")
        row |= self._merged(mine, "session_4m") | self._order(mine, "session_4m")
        row |= self._order(self._session(series, "5m").iloc[:-1], "session_5m")
        row |= self._merged(series[series.index > now - pd.Timedelta("25m")], "25m")
        mine = self._session(series, "3m").iloc[:-1]
        row |= {"x_count_session_3m": float(mine.count()), "x_mean_session_3m": mine.mean()}
        known = series.dropna()
        ages = (known.index[-1:].append(known.index) - known.index[0])[1:] if len(known) else []
        weights = [0.5 ** ((known.index[-1] - t) / pd.Timedelta("10m")) for t in known.index]
        row["x_decayed_10m"] = np.average(known, weights=weights) if len(ages) else None
        row["pause"] = (now - before.index[-1]).total_seconds() if len(before) else None
        high = before[before > 4]
        row["since_high"] = (now - high.index[-1]).total_seconds() if len(high) else None
        return row

    @staticmethod
    def _session(series: "pd.Series[float]", gap: str) -> "pd.Series[float]":
        begins = series.index.to_series().diff() > pd.Timedelta(gap)
        number = begins.cumsum().to_numpy()
        return series[number == number[-1]]

    @staticmethod
    def _order(values: "pd.Series[float]", width: str) -> dict[str, Any]:
        shares = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
        quantiles = values.quantile(list(shares.values()))
        found = {f"x_{name}_{width}": quantiles[share] for name, share in shares.items()}
        return found | {f"x_distinct_{width}": float(values.nunique())}

    @staticmethod
    def _merged(values: "pd.Series[float]", width: str) -> dict[str, Any]:
        values = values.dropna()
        found: dict[str, Any] = {
            "count": float(len(values)), "sum": values.sum(), "mean": values.mean(),
            "min": values.min(), "max": values.max(), "std": values.std(),
            "range": values.max() - values.min(),
            "last": values.iloc[-1] if len(values) else None,
            "trend": None, "rate": None,
        }  # fmt: skip
        hours = ((values.index - values.index[:1].min()) / pd.Timedelta("1h")).to_numpy()
        if len(values) and hours[-1] > hours[0]:
            apart = hours - hours.mean()
            found["trend"] = (apart * values).sum() / (apart**2).sum()
            found["rate"] = (len(values) - 1) / (hours[-1] - hours[0])
        return {f"x_{name}_{width}": value for name, value in found.items()}


def agree(seed: int, size: int, cut: int) -> None:
    spec = problem(FEATURES)
    oracle = Oracle()
    for n, (event, found) in enumerate(folded(spec, stream(seed, size), cut)):
        expected = oracle.features(event)
        for name, value in found.items():
            wanted = expected[name]
            if wanted is None or wanted != wanted:
                assert value is None, (n, name)
            else:
                assert value == pytest.approx(float(wanted), rel=1e-11, abs=1e-11), (n, name)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 80), st.integers(0, 80))
def test_windows_agree_with_pandas(seed: int, size: int, cut: int) -> None:
    agree(seed, size, cut)


@pytest.mark.slow
def test_windows_agree_with_pandas_over_five_thousand_events() -> None:
    """`make fuzz-long` takes 200,000."""
    for seed in range(EVENTS // LENGTH):
        agree(seed, LENGTH, 67)


def test_an_earlier_definition_keeps_its_digest() -> None:
    windows = [{"kind": "window", "field": "x", "of": ["mean"], "span": "10m"}]
    assert FeatureSet(problem(windows)).digest == "9b0706bf8d804566"
