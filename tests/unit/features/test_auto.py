"""What is made up is what could have been declared: the same numbers, within the budget, once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.feature_set import FeatureSet
from shared.messages.types import Valid
from shared.problem.consistency import consistency_mistakes
from shared.problem.spec import Auto, Problem
from tests.kit.folding import folded

START = datetime(2024, 3, 30, 22, tzinfo=UTC)


def problem(features: list[dict[str, Any]]) -> Problem:
    fields = {
        "k": {"type": "text"}, "x": {"type": "number"}, "y": {"type": "integer"},
        "hidden": {"type": "number", "feature": False},
    }  # fmt: skip
    return Problem.model_validate(
        {"name": "p", "goal": "g", "task": "binary", "label": {"field": "l"},
         "events": {"key": "k", "fields": fields}, "features": features}
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 120), st.integers(1, 3), st.booleans())
def test_a_budget_is_kept_and_a_second_reading_makes_nothing_up(
    budget: int, depth: int, declared: bool
) -> None:
    own = [{"kind": "lags", "field": "x", "by": [1]}] if declared else []
    found = problem([*own, {"kind": "auto", "budget": budget, "depth": depth}])
    made = [c for f in found.features[1 + declared :] for c in f.columns()]
    assert len(made) <= budget and len(set(found.feature_names)) == len(found.feature_names)
    assert not any(column.startswith("hidden") for column in made)
    assert not list(consistency_mistakes(found))
    again = Problem.model_validate_json(found.model_dump_json())
    assert again.features == found.features and again.feature_names == found.feature_names


def test_depths_are_stacked() -> None:
    names = problem([{"kind": "auto", "budget": 200}]).feature_names
    assert {"x_minus_lag_1", "x_mean_1h", "x_minus_y", "x_per_y"} <= set(names)  # one deep
    assert {"x_minus_lag_1_std_1d", "x_mean_1h_minus_lag_1", "x_per_y_mean_1h"} <= set(
        names
    )  # two
    one = problem([{"kind": "auto", "budget": 200, "depth": 1}]).feature_names
    assert set(one) < set(names)


def test_made_up_and_declared_give_the_same_numbers() -> None:
    auto = problem([{"kind": "auto", "budget": 60, "spans": ["10m"]}])
    declared = [f.model_dump(mode="json") for f in auto.features if not isinstance(f, Auto)]
    plain = FeatureSet(problem(declared))
    events = [
        Valid(str(n), START + timedelta(minutes=n * n % 7 + n),
              {"x": None if n % 9 == 4 else n % 5 - 1.5, "y": n % 3, "hidden": 1.0}, "ab"[n % 2])
        for n in range(60)
    ]  # fmt: skip
    for event, found in folded(auto, events, cut=23):
        assert found == plain.transform(event)


def test_a_span_of_nothing_is_a_mistake() -> None:
    (mistake,) = consistency_mistakes(problem([{"kind": "auto", "spans": ["0s"]}]))
    assert mistake.path == ("features", 0, "spans", 0)


@pytest.mark.parametrize("rate", [None, 0.2])
def test_selection_is_on_where_features_are_made_up(rate: float | None) -> None:
    base = problem([]).model_dump(mode="json") | {"retraining": {"false_discovery": rate}}
    assert Problem.model_validate(base).false_discovery == rate
    made = Problem.model_validate(base | {"features": [{"kind": "auto"}]})
    assert made.false_discovery == (rate or 0.05)
