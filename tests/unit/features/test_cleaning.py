"""What stands for missing values and outliers, and scaling, against pandas over the same key's past."""

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.cleaning import NEWEST
from shared.features.feature_set import FeatureSet
from shared.features.moments import LEAST
from shared.messages.types import Valid
from shared.problem.spec import Problem
from tests.kit.folding import folded

START = datetime(2024, 1, 1, tzinfo=UTC)
FIELDS: dict[str, Any] = {
    "flagged": {"type": "number", "missing": "flag"},
    "median": {"type": "number", "missing": "median"},
    "mode": {"type": "integer", "missing": "mode"},
    "hue": {"type": "category", "categories": ["red", "blue"], "unseen": "other", "missing": "mode"},
    "lamp": {"type": "category", "categories": ["on", "off"], "missing": "flag"},
    "clip": {"type": "number", "outliers": "clip", "outlier_limit": 2.0},
    "odd": {"type": "number", "outliers": "flag", "outlier_limit": 2.0, "missing": "last"},
    "standard": {"type": "number", "scale": "standard"},
    "minmax": {"type": "number", "scale": "minmax", "missing": "mean"},
    "hidden": {"type": "number", "outliers": "clip", "feature": False},
}  # fmt: skip


def problem(fields: dict[str, Any]) -> Problem:
    events = {"key": "k", "fields": {"k": {"type": "text"}, **fields}}
    return Problem.model_validate(
        {"name": "p", "goal": "g", "task": "binary", "label": {"field": "l"}, "events": events}
    )


def stream(seed: int, size: int) -> list[Valid]:
    """Two keys; numbers with outliers and gaps. Drawn from a seed: see `test_feature_set`."""
    draw = np.random.default_rng(seed)
    events = []
    for n in range(size):
        fields: dict[str, Any] = {}
        for name, spec in FIELDS.items():
            value: Any = float(draw.normal(5.0, 2.0) + 90.0 * (draw.random() < 0.05))
            if spec["type"] == "integer":
                value = int(value)
            elif spec["type"] == "category":
                value = ["red", "blue", "on", "off"][draw.integers(2) + 2 * (name == "lamp")]
            fields[name] = None if draw.random() < 0.2 else value
        events.append(Valid(str(n), START, fields, "aaab"[draw.integers(4)]))
    return events


class Oracle:
    """The same from lists of all that was ever seen."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], list[Any]] = {}

    def past(self, key: str | None, name: str) -> "pd.Series[Any]":
        return pd.Series(self.seen.setdefault((key or "", name), []))

    def add(self, key: str | None, name: str, value: Any) -> None:
        if value is not None:
            self.seen[key or "", name].append(value)

    def fenced(self, key: str | None, name: str, value: float | None) -> float | None:
        past = self.past(key, name)
        if value is None or len(past) < LEAST:
            return value
        low, high = past.mean() - 2.0 * past.std(), past.mean() + 2.0 * past.std()
        return min(max(value, low), high)

    def features(self, valid: Valid) -> dict[str, Any]:
        row, key = dict(valid.fields), valid.key
        row["flagged_missing"] = float(row["flagged"] is None)
        row["lamp_missing"] = float(row["lamp"] is None)
        for name in ("median", "mode", "hue"):
            value, past = row[name], self.past(key, name).tail(NEWEST)
            if value is None and len(past):
                counts = past.value_counts()
                best = set(counts[counts == counts.max()].index)
                newest = [old for old in past if old in best][-1]
                row[name] = past.median() if name == "median" else newest
            self.add(key, name, value)
        for name in ("clip", "odd"):
            within = self.fenced(key, name, row[name])
            if name == "odd":
                row["odd_outlier"] = None if within is None else float(within != row["odd"])
                last = self.past(key, "odd_raw")
                self.add(key, "odd_raw", row["odd"])
                if row["odd"] is None and len(last):
                    row["odd"] = last.iloc[-1]
            else:
                row[name] = within
            self.add(key, name, within)
        past = self.past(key, "standard")
        known = row["standard"] is not None and len(past) > 1
        row["standard_scaled"] = (row["standard"] - past.mean()) / past.std() if known else None
        self.add(key, "standard", row["standard"])
        past, value = self.past(key, "minmax"), row["minmax"]
        if value is None and len(past):
            value = past.mean()
        known = value is not None and len(past) > 1
        low, high = (past.min(), past.max()) if known else (0.0, 1.0)
        row["minmax_scaled"] = (value - low) / (high - low) if known else None
        self.add(key, "minmax", row["minmax"])
        for hue in ("red", "blue", "other"):
            row[f"hue_is_{hue}"] = None if row["hue"] is None else float(row["hue"] == hue)
        for lamp in ("on", "off"):
            row[f"lamp_is_{lamp}"] = None if row["lamp"] is None else float(row["lamp"] == lamp)
        return row


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 2**32), st.integers(150, 300), st.integers(0, 300))
def test_cleaning_agrees_with_pandas_also_after_a_restore(seed: int, size: int, cut: int) -> None:
    spec = problem(FIELDS)
    oracle = Oracle()
    for event, found in folded(spec, stream(seed, size), cut):
        expected = oracle.features(event)
        assert "hidden" not in found
        for name, value in found.items():
            wanted = expected[name]
            if wanted is None or value is None:
                assert value is wanted, name
            else:
                assert value == pytest.approx(float(wanted), rel=1e-9, abs=1e-9), name


def test_a_lasting_change_of_level_is_followed() -> None:
    features = FeatureSet(problem({"x": {"type": "number", "outliers": "clip"}}))
    levels = [math.sin(n) for n in range(200)] + [500.0 + math.sin(n) for n in range(400)]
    found = [features.transform(Valid("i", START, {"x": x}, "a"))["x"] for x in levels]
    assert found[200] is not None and found[200] < 10.0
    assert found[-1] == levels[-1]


@pytest.mark.parametrize("name", ["standard", "minmax", "clip", "odd"])
def test_huge_numbers_give_nothing_that_is_not_finite(name: str) -> None:
    features = FeatureSet(problem({name: FIELDS[name]}))
    for n in range(120):
        huge = [1.7e308, -1.7e308, 5e-324, 1e154][n * 7 % 4]
        found = features.transform(Valid("i", START, {name: huge}, "a"))
        assert all(value is None or math.isfinite(value) for value in found.values())


def test_a_definition_without_the_new_options_keeps_its_digest() -> None:
    assert FeatureSet(problem({"x": {"type": "number"}})).digest == "6e5ff2abf371e9b9"
