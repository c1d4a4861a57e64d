"""The featurizer as a stage."""

from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path

from services.auditor.reading import Reading
from services.featurizer import SERVICE
from services.featurizer.core import Featurizer
from shared.messages.streams import FEATURES, REFERENCES, REJECTED, VALID
from shared.messages.types import Valid
from shared.problem.load import load_problem
from shared.problem.spec import Problem
from shared.stage import Record
from tests.kit.check_stage import check_stage
from tests.kit.referring import problem
from tests.kit.referring import records as referring

SPEC = Problem.model_validate(
    {
        "name": "p", "goal": "g", "task": "binary", "label": {"field": "l"},
        "events": {
            "key": "k", "max_keys": 3,
            "fields": {
                "k": {"type": "text"},
                "x": {"type": "number", "missing": "last"},
                "hue": {"type": "category", "encode": "frequency"},
            },
        },
        "features": [
            {"kind": "calendar", "parts": ["hour", "weekend"]},
            {"kind": "lags", "field": "x", "by": [1, 2]},
            {"kind": "window", "field": "x", "of": ["mean", "std", "min"], "span": "20m"},
            {"kind": "window", "field": "x", "of": ["max", "trend"], "size": 5},
            {"kind": "expression", "name": "step", "formula": "x - x_lag_1"},
        ],
    }
)  # fmt: skip


def records(count: int) -> list[Record]:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    return [
        Record(
            VALID,
            Valid(
                f"e{n}",
                start + timedelta(minutes=7 * n % 50 + n),
                {"k": f"k{n * n % 5}", "x": None if n % 4 == 1 else n * 0.1, "hue": "abc"[n % 3]},
                f"k{n * n % 5}",
            ),
            seq=n,
        )
        for n in range(count)
    ]


def test_the_contract_of_a_stage() -> None:
    events = records(60)
    found = check_stage(SERVICE, lambda: Featurizer(SPEC), events, range(0, 61, 3))
    assert [out.value.id for out in found] == [record.value.id for record in events]
    names = SPEC.feature_names
    for out in found:
        assert tuple(out.value.features) == names
        assert all(value is None or isfinite(value) for value in out.value.features.values())
        assert all(type(value) in (float, type(None)) for value in out.value.features.values())
    assert found[-1].value.features["x_mean_20m"] is not None


def test_the_example() -> None:
    """Names in their declared order, and lags of the right half-hours."""
    root = Path(__file__).resolve().parents[3]
    spec = load_problem(root / "examples" / "electricity" / "problem.yaml")
    stage, start = Featurizer(spec), datetime(1996, 5, 7, tzinfo=UTC)
    prices = ("nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
    events = [
        Valid(
            f"e{n}",
            start + timedelta(minutes=30 * n),
            {"region": "NSW"} | dict.fromkeys(prices, n / 1000),
            "NSW",
        )
        for n in range(400)
    ]
    found = [out.value.features for out in stage.handle([Record(VALID, e, "NSW") for e in events])]
    assert all(tuple(row) == spec.feature_names for row in found)
    assert found[0]["nswdemand_lag_1"] is None
    assert [found[399][f"nswdemand_lag_{by}"] for by in (1, 48, 336)] == [0.398, 0.351, 0.063]
    assert found[399]["change"] == 0.399 - 0.398


def test_lookups_keep_the_contract_and_say_what_was_read() -> None:
    spec, inputs = problem(customers={"keep": 1}), referring(7, 60)
    given = [
        r if r.stream is REFERENCES else Record(VALID, Reading(spec).valid(r), seq=r.seq)
        for r in inputs
    ]
    found = check_stage(SERVICE, lambda: Featurizer(spec), given, range(0, 61, 6))
    said = [out.value for out in found if out.stream is FEATURES]
    assert len(said) == sum(record.stream is VALID for record in given)
    assert {why for one in said for why in (one.unfound or {}).values()} == {"missing", "too_old"}
    assert said[-1].references == 1 + max(r.offset for r in given[:-1] if r.stream is REFERENCES)
    refused = [out.value for out in found if out.stream is REJECTED]
    assert {"decode", "type", "range", "missing"} <= {one.check for one in refused}
    assert all(one.topic == "p.references" and one.reason for one in refused)


def test_an_event_that_came_before_its_reference_keeps_what_was_said() -> None:
    """And one that comes after it, of the same time, is told."""
    spec = problem()
    said = b'{"reference": "customers", "key": 1, "time": "2024-01-01T00:00:00Z",'
    said += b' "fields": {"segment": "gold", "limit": 7}}'
    event = Valid("e", datetime(2024, 2, 1, tzinfo=UTC), {"k": "1", "other": None, "x": 1.0}, "1")
    stage = Featurizer(spec)
    stream = [Record(VALID, event), Record(REFERENCES, said, offset=0), Record(VALID, event)]
    before, after = (out.value for out in stage.handle(stream))
    assert (before.features["customers_limit"], after.features["customers_limit"]) == (None, 7.0)
    assert (before.references, after.references) == (0, 1)
    assert before.unfound == {"customers": "missing", "o": "missing"}
    assert after.unfound == {"o": "missing"}
