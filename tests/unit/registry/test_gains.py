"""What a version gained is read from the end of its watch."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.messages.types import ModelEvent
from shared.registry.gains import gain_of

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def event(model: str, state: Any, role: str, against: str, gain: float, pairs: int) -> ModelEvent:
    evidence = {
        "role": role,
        "against": against,
        "mean_gain": gain,
        "pairs": pairs,
        "metric": "mae",
    }
    return ModelEvent(model=model, state=state, time=T0, evidence=evidence)


def test_the_gain_is_that_of_the_watch_and_not_of_the_promotion() -> None:
    promoted = event("v2", "champion", "promotion", "v1", 0.5, 3_000)
    assert gain_of("v2", [promoted]) is None
    kept = [promoted, event("v1", "retired", "rollback", "v2", -0.25, 2_000)]
    found = gain_of("v2", kept)
    assert found is not None
    assert (found["over"], found["pairs"], found["saved"]) == ("v1", 2_000, pytest.approx(500))
    back = [promoted, event("v1", "champion", "rollback", "v2", 0.1, 600)]
    found = gain_of("v2", back)
    assert found is not None and found["saved"] == pytest.approx(-60)
    assert gain_of("v1", kept) is None
