"""Fields as they came: what predictions tell of them gives back every value that cleaning hid."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from services.featurizer.core import Featurizer
from shared.features.profile.fields import RawFields, crc
from shared.messages.codec import decode, encode
from shared.messages.streams import PREDICTIONS, VALID
from shared.messages.types import Prediction, Valid
from shared.problem.spec import Problem
from shared.stage import Record

START = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS: dict[str, dict[str, Any]] = {
    "plain": {"type": "number"},
    "flagged": {"type": "integer", "missing": "flag", "outliers": "flag"},
    "told": {"type": "category", "categories": ["a", "b"], "missing": "flag"},
    "shop": {"type": "category", "feature": False},
    "filled": {"type": "number", "missing": "mean"},
    "clipped": {"type": "number", "outliers": "clip"},
    "last": {"type": "boolean", "missing": "last"},
    "scaled": {"type": "number", "scale": "standard"},
    "aside": {"type": "integer", "feature": False},
    "other": {"type": "category", "categories": ["a", "b"], "unseen": "other"},
    "town": {"type": "category", "encode": "target"},
    "note": {"type": "text"},
    "seen": {"type": "time"},
}
SAME = ("plain", "flagged", "told")


def declared(share: float = 1.0, fields: dict[str, dict[str, Any]] = FIELDS) -> Problem:
    return Problem.model_validate({
        "name": "p", "goal": "g", "task": "binary", "label": {"field": "y"},
        "events": {"key": "shop" if "shop" in fields else None, "fields": fields},
        "profile": {"share": share},
    })  # fmt: skip


def events(n: int) -> list[Valid]:
    """A fifth of everything is missing; now and then a wild number."""
    draw = np.random.default_rng(6)
    rows = []
    for i in range(n):
        wild = 1_000.0 if i % 50 == 49 else 1.0
        number = (draw.normal(size=4) * wild).tolist()
        fields: dict[str, Any] = {
            "plain": number[0], "flagged": int(10 * number[1]), "told": "ab"[i % 2],
            "filled": number[2], "clipped": number[3], "last": bool(i % 3), "scaled": number[0],
            "aside": i, "other": "abc"[i % 3], "town": f"t{i % 70}", "note": f"note {i % 4}",
            "seen": "2026-01-02T00:00:00Z",
        }  # fmt: skip
        gone = [name for name in fields if draw.random() < 0.2]
        fields |= dict.fromkeys(gone) | {"shop": f"s{i % 3}"}
        rows.append(Valid(f"e{i}", START + i * timedelta(minutes=5), fields, fields["shop"]))
    return rows


def predictions(problem: Problem, rows: list[Valid]) -> list[Prediction]:
    """What comes of them, as it is read from the log."""
    outs = Featurizer(problem).handle([Record(VALID, row, row.key) for row in rows])
    return [
        decode(PREDICTIONS, encode(Prediction(
            id=f.id, time=f.time, prediction=0, model="v1", features=f.features,
            feature_set=f.feature_set, key=f.key, source=f.source, fields=f.fields)))
        for f in (out.value for out in outs)
    ]  # fmt: skip


def test_every_value_that_is_hidden_is_given_back() -> None:
    problem, rows = declared(), events(300)
    raw = RawFields(problem)
    assert raw.same == SAME
    assert raw.names == tuple(name for name in FIELDS if name not in SAME)
    changed = 0
    for row, prediction in zip(rows, predictions(problem, rows), strict=True):
        expected = {name: row.fields[name] for name in raw.names}
        if expected["note"] is not None:
            expected["note"] = crc(expected["note"])
        assert raw.values(prediction) == expected
        told = prediction.fields or {}
        assert "shop" not in told
        assert told["note"] is None or told["note"] != row.fields["note"]
        for name in ("filled", "clipped", "last"):
            if name in told:
                assert prediction.features[name] != row.fields[name], "told though it is there"
                changed += 1
    assert 60 < changed < 250


def test_a_share_of_the_events_is_told_the_same_ones_everywhere() -> None:
    problem, rows = declared(0.1), events(2_000)
    raw = RawFields(problem)
    found = [p for p in predictions(problem, rows) if raw.values(p) is not None]
    assert 140 < len(found) < 260
    assert {p.id for p in found} == {row.id for row in rows if raw.sampled(row.id)}
    assert all(p.fields is None for p in predictions(declared(0.0), rows[:50]))


def test_where_features_are_the_fields_nothing_is_told() -> None:
    problem = declared(1.0, {name: FIELDS[name] for name in SAME})
    raw, rows = RawFields(problem), events(50)
    assert raw.names == ()
    for prediction in predictions(problem, rows):
        assert prediction.fields is None and raw.values(prediction) is None
