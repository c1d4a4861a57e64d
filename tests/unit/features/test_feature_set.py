"""Every operator against a slow pandas oracle; state saved and restored at every cut."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.feature_set import FeatureSet
from shared.features.statistics import STATISTICS
from shared.messages.types import Valid
from shared.problem.durations import duration_text
from shared.problem.spec import Problem
from tests.kit.folding import folded, save

START = datetime(2024, 3, 30, 22, tzinfo=UTC)
STATS = [name for name in STATISTICS if name != "rate"]  # of windows of event time only


def problem(features: list[dict[str, Any]], **more: Any) -> Problem:
    fields: dict[str, Any] = {
        "x": {"type": "number"},
        "y": {"type": "number", "missing": "mean"},
        "z": {"type": "integer", "missing": "last"},
        "ok": {"type": "boolean"},
        "hue": {"type": "category", "categories": ["red", "deep blue", 3], "unseen": "other"},
        "shop": {"type": "category", "encode": "frequency"},
        "town": {"type": "category", "encode": "hash", "buckets": 4},
        "at": {"type": "time"},
    }
    events = {"key": "k", "fields": {"k": {"type": "text"}, **fields}, **more}
    return Problem.model_validate(
        {"name": "p", "goal": "g", "task": "binary", "label": {"field": "l"},
         "events": events, "features": features}
    )  # fmt: skip


WINDOWS: list[dict[str, Any]] = [
    {"kind": "window", "field": "x", "of": STATS, "size": 4, "minus_now": True},
    {"kind": "window", "field": "x", "of": STATS, "size": 1},
    {"kind": "window", "field": "x", "of": STATS, "span": "10m", "minus_now": True},
    {"kind": "window", "field": "y", "of": STATS, "size": 3, "include_now": False},
    {"kind": "window", "field": "y", "of": STATS, "span": "5m", "include_now": False},
    {"kind": "window", "field": "z", "of": STATS, "span": "1h", "limit": 3},
]
LOOKS_BACK = [
    *WINDOWS,
    {"kind": "lags", "field": "x", "by": [1, 3, 70], "difference": True},
    {"kind": "expression", "name": "up", "formula": "x - x_lag_1"},
    {"kind": "lags", "field": "up", "by": [2]},
    {"kind": "window", "field": "up", "of": ["mean"], "size": 2},
]


def stream(seed: int, size: int) -> list[Valid]:
    """Events of two keys, with gaps, ties, late ones, and missing values.

    Drawn from a seed: Hypothesis would spend its time on drawing.
    """
    draw = np.random.default_rng(seed)

    def one_of(*values: Any) -> Any:
        return values[draw.integers(len(values))]

    now, events = START, []
    for number in range(size):
        now += timedelta(minutes=one_of(0, 1, 2, 5, 10, 11, -3))
        fields = {
            "x": one_of(None, 0.0, -0.0, 1e15, 1.0, -2.5, *draw.normal(0, 100, 3).tolist()),
            "y": one_of(None, None, *draw.normal(0, 1, 3).tolist()),
            "z": one_of(None, int(draw.integers(-5, 5))),
            "ok": one_of(None, True, False),
            "hue": one_of(None, "red", "deep blue", "3", "green"),
            "shop": one_of(None, "a", "b", "c"),
            "town": one_of(None, "", "x", "ö"),
        }
        events.append(Valid(str(number), now, fields, one_of("a", "b")))
    return events


def streams(most: int = 40) -> st.SearchStrategy[list[Valid]]:
    return st.builds(stream, st.integers(0, 2**32), st.integers(1, most))


class Oracle:
    """The same features from lists of everything that was ever seen."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.times: dict[str, list[datetime]] = {}
        self.raw: dict[str, list[dict[str, Any]]] = {}

    def features(self, valid: Valid) -> dict[str, Any]:
        key = valid.key or ""
        rows, times = self.rows.setdefault(key, []), self.times.setdefault(key, [])
        raw = self.raw.setdefault(key, [])
        times.append(max([valid.time, *times]))
        row = dict(valid.fields)
        seen = pd.Series([old["y"] for old in raw], dtype=float)
        if row["y"] is None and seen.notna().any():
            row["y"] = seen.mean()
        known = [old["z"] for old in raw if old["z"] is not None]
        if row["z"] is None and known:
            row["z"] = known[-1]
        raw.append(valid.fields)
        rows.append(row)
        for window in WINDOWS:
            row.update(self._window(window, rows, times))
        for by in (1, 3, 70):
            then = rows[-1 - by]["x"] if by < len(rows) else None
            row[f"x_lag_{by}"] = then
            both = then is not None and row["x"] is not None
            row[f"x_minus_lag_{by}"] = row["x"] - then if both else None
        row["up"] = row["x_minus_lag_1"]
        row["up_lag_2"] = rows[-3]["up"] if len(rows) > 2 else None
        recent = pd.Series([old["up"] for old in rows[-2:]], dtype=float)
        row["up_mean_2"] = recent.mean()
        return row

    @staticmethod
    def _window(
        spec: dict[str, Any], rows: list[dict[str, Any]], times: list[datetime]
    ) -> dict[str, Any]:
        values = pd.Series([row[spec["field"]] for row in rows], index=times, dtype=float)
        places = pd.Series(np.arange(len(rows), dtype=float), index=times)
        if not spec.get("include_now", True):
            values, places = values.iloc[:-1], places.iloc[:-1]
        if "size" in spec:
            width = str(spec["size"])
            values, places = values.iloc[-spec["size"] :], places.iloc[-spec["size"] :]
        else:
            width = spec["span"]
            inside = values.index > times[-1] - pd.Timedelta(width)
            values = values[inside].iloc[-spec.get("limit", 10_000) :]
            hours = [(time - START).total_seconds() / 3600 for time in values.index]
            places = pd.Series(hours, index=values.index, dtype=float)
        now = rows[-1][spec["field"]]
        places, values = places[values.notna().to_numpy()], values.dropna()
        result: dict[str, Any] = {
            "count": float(len(values)),
            "sum": values.sum(),
            "mean": values.mean(),
            "min": values.min(),
            "max": values.max(),
            "std": values.std(),
            "range": values.max() - values.min(),
            "last": values.iloc[-1] if len(values) else None,
            "trend": None,
        }
        if places.nunique() > 1:
            dx = places.to_numpy() - places.mean()
            result["trend"] = (dx * (values.to_numpy() - values.mean())).sum() / (dx**2).sum()
        named = {f"{spec['field']}_{name}_{width}": value for name, value in result.items()}
        if spec.get("minus_now"):
            minus = None if now is None else now - result["mean"]
            named[f"{spec['field']}_minus_mean_{width}"] = minus
        return named


def same(found: float | None, expected: Any, scale: float) -> bool:
    if expected is None or expected != expected:
        return found is None
    return found == pytest.approx(float(expected), rel=1e-9, abs=1e-10 * scale)


@settings(max_examples=15, deadline=None)
@given(streams())
def test_what_looks_back_agrees_with_pandas(events: list[Valid]) -> None:
    features, oracle = FeatureSet(problem(LOOKS_BACK)), Oracle()
    largest = max([1.0, *(abs(e.fields[n] or 0.0) for e in events for n in ("x", "y"))])
    for event in events:
        expected, found = oracle.features(event), features.transform(event)
        assert tuple(found) == features.names
        for name in found.keys() & expected.keys() - {"ok"}:
            # one past value of 1e15 leaves a mean of squares of that size
            scale = largest * largest if "std" in name or "trend" in name else largest
            size = (
                scale * 100 if "trend" in name else scale
            )  # a slope is a quotient of differences
            assert same(found[name], expected[name], size), name


@settings(max_examples=30, deadline=None)
@given(streams(150), st.integers(0, 150), st.integers(0, 150))
def test_restored_at_any_cut_it_goes_on_the_same(events: list[Valid], a: int, b: int) -> None:
    spec = problem(LOOKS_BACK)
    whole = FeatureSet(spec)
    expected = [whole.transform(event) for event in events]
    first, entries, found = FeatureSet(spec), dict[str, bytes](), []
    low, high = sorted((min(a, len(events)), min(b, len(events))))
    for part in (events[:low], events[low:high]):
        found += [first.transform(event) for event in part]
        save(first, entries)
    second = FeatureSet(spec)
    second.restore(entries)
    found += [second.transform(event) for event in events[high:]]
    assert repr(found) == repr(expected)
    save(second, entries)
    third = FeatureSet(spec)
    third.restore(entries)
    assert repr(third.transform(events[0])) == repr(whole.transform(events[0]))


@settings(max_examples=15, deadline=None)
@given(
    streams(60),
    st.lists(st.sampled_from("abcdefg"), min_size=60, max_size=60),
    st.sampled_from([8, 30, 10_000]),
)
def test_few_keys_are_kept(events: list[Valid], keys: list[str], expire: int) -> None:
    """The key that was silent longest is forgotten, or all that were silent for too long; nothing of
    them stays in the state.
    """
    spec = problem(LOOKS_BACK, max_keys=3, expire=f"{expire}m")
    events = [Valid(e.id, e.time, e.fields, k) for e, k in zip(events, keys, strict=False)]
    oracle, entries = Oracle(), dict[str, bytes]()
    newest: dict[str, datetime] = {}
    forgotten, latest = 0, START
    for event, found in folded(spec, events, len(events) * 2 // 3, entries, every=3):
        key = event.key or ""
        latest = max(latest, event.time)
        gone = [k for k in newest if latest - newest[k] > timedelta(minutes=expire)]
        if key not in newest.keys() - gone and len(newest) - len(gone) == 3:
            gone.append(min(newest.keys() - gone, key=lambda k: (newest[k], k)))
        forgotten += len(gone)
        for book in (newest, oracle.rows, oracle.times, oracle.raw):
            for k in gone:
                book.pop(k)
        newest[key] = max(event.time, newest.get(key, event.time))
        expected = oracle.features(event)
        assert same(found["x_lag_1"], expected["x_lag_1"], 1.0)
        assert found["x_count_4"] == expected["x_count_4"]
    assert int(entries.get("forgotten", b"0")) == forgotten
    assert {name.split("/")[-1] for name in entries if name.startswith(("head", "rows"))} == set(
        newest
    )


def test_saving_costs_what_changed() -> None:
    spec = problem([{"kind": "lags", "field": "x", "by": [5_000]}])
    features, entries = FeatureSet(spec), dict[str, bytes]()
    fields = dict.fromkeys(spec.events.fields) | {"x": 1.0}
    for number in range(20_000):
        features.transform(Valid(str(number), START, fields, f"k{number % 2}"))
    save(features, entries)
    assert len(entries) < 2 * (5_000 / 64 + 4) + 10
    features.transform(Valid("z", START, fields, "k0"))
    assert save(features, entries) < 1_500
    assert save(features, entries) == 0


def test_categories() -> None:
    features = FeatureSet(problem([]))
    shops = ["a", "b", "a", None, "a"]
    found = [
        features.transform(
            Valid(
                "i",
                START,
                dict.fromkeys(["x", "y", "z", "ok", "at"]) | {"hue": hue, "shop": s, "town": s},
                "a",
            )
        )
        for s, hue in zip(shops, ["red", "deep blue", "3", "green", None], strict=True)
    ]
    hues = ["hue_is_red", "hue_is_deep_blue", "hue_is_3", "hue_is_other"]
    assert [[row[hue] for hue in hues] for row in found] == [
        [1.0, 0.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
        [None] * 4,
    ]
    assert [row["shop_frequency"] for row in found] == [None, 0.0, 0.5, None, 2 / 3]
    towns = [[row[f"town_hash_{i}"] for i in range(4)] for row in found]
    assert towns[0] == towns[2] == towns[4] and sum(v or 0.0 for v in towns[0]) == 1.0
    assert towns[3] == [None] * 4


def test_frequency_forgets_rare_values_and_survives_a_restore() -> None:
    spec = problem([])
    features, entries = FeatureSet(spec), dict[str, bytes]()
    fields = dict.fromkeys(spec.events.fields)
    shops = [f"s{n}" for n in range(5_000)] + ["often"] * 50 + [f"t{n}" for n in range(5_000)]
    for shop in shops:
        features.transform(Valid("i", START, fields | {"shop": shop}, "a"))
    save(features, entries)
    assert sum(name.startswith("frequency/") for name in entries) <= 4_096
    second = FeatureSet(spec)
    second.restore(entries)
    valid = Valid("i", START, fields | {"shop": "often"}, "a")
    share = features.transform(valid)["shop_frequency"]
    assert share == second.transform(valid)["shop_frequency"]
    assert share is not None and 0.0 < share < 0.1


@settings(max_examples=50, deadline=None)
@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_calendar_agrees_with_pandas(time: datetime) -> None:
    parts = ["minute", "hour", "time_of_day", "weekday", "day", "month", "weekend"]
    for zone in ("UTC", "America/New_York"):
        spec = problem([{"kind": "calendar", "parts": parts, "zone": zone}])
        fields = dict.fromkeys(spec.events.fields)
        found = FeatureSet(spec).transform(Valid("i", time, fields, "a"))
        local = pd.Timestamp(time).tz_convert(ZoneInfo(zone))
        phases = {
            "minute": local.minute / 60,
            "hour": local.hour / 24,
            "time_of_day": (local.hour * 3600 + local.minute * 60 + local.second) / 86_400,
            "weekday": local.day_of_week / 7,
            "day": (local.day - 1) / 31,
            "month": (local.month - 1) / 12,
        }
        for part, phase in phases.items():
            assert found[f"{part}_sin"] == pytest.approx(np.sin(2 * np.pi * phase), abs=1e-12)
            assert found[f"{part}_cos"] == pytest.approx(np.cos(2 * np.pi * phase), abs=1e-12)
        assert found["weekend"] == float(local.day_of_week >= 5)


def test_formulas_see_booleans_text_and_times() -> None:
    spec = problem(
        [
            {"kind": "expression", "name": "paid_red", "formula": "ok and hue == 'red'"},
            {"kind": "expression", "name": "hours", "formula": "(at - 0) / 3600"},
            {"kind": "expression", "name": "both", "formula": "paid_red + hue_is_red"},
            {"kind": "expression", "name": "huge", "formula": "x * x"},
        ]
    )
    fields = dict.fromkeys(spec.events.fields) | {
        "ok": True, "hue": "red", "at": "1970-01-01T02:00:00Z", "x": 1e200,
    }  # fmt: skip
    found = FeatureSet(spec).transform(Valid("i", START, fields, "a"))
    assert (found["paid_red"], found["hours"], found["both"]) == (1.0, 2.0, 2.0)
    assert found["huge"] is None, "what is not finite is missing"


def test_what_is_no_number_is_missing() -> None:
    spec = problem(LOOKS_BACK)
    fields = dict.fromkeys(spec.events.fields) | {"x": float("nan"), "y": "high", "z": [1]}
    found = FeatureSet(spec).transform(Valid("i", START, fields, "a"))
    assert found["x"] is found["y"] is found["z"] is None


def test_huge_values_never_give_what_is_not_finite() -> None:
    features = FeatureSet(problem([*LOOKS_BACK, {"kind": "lags", "field": "y", "by": [1]}]))
    for number in range(40):
        huge = [1.7e308, -1.7e308, 5e-324, 1e154][number * 7 % 4]
        fields = dict.fromkeys(features.names) | {
            "x": huge, "y": None if number % 3 else huge, "z": 2**62, "ok": True, "hue": "red",
        }  # fmt: skip
        found = features.transform(Valid("i", START, fields, "a"))
        assert all(value is None or np.isfinite(value) for value in found.values())


def test_digest_tells_definitions_apart() -> None:
    plain = FeatureSet(problem([]))
    assert plain.digest == FeatureSet(problem([])).digest
    assert plain.digest != FeatureSet(problem(WINDOWS)).digest


@pytest.mark.parametrize(
    ("span", "text"),
    [(timedelta(minutes=90), "90m"), (timedelta(hours=24), "1d"), (timedelta(days=14), "2w"),
     (timedelta(milliseconds=1500), "1500ms")],
)  # fmt: skip
def test_durations_in_names(span: timedelta, text: str) -> None:
    assert duration_text(span) == text
