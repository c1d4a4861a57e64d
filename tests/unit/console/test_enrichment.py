"""How often lookups found something, beside plain counting."""

from collections import Counter
from datetime import UTC, datetime

from services.console.enrichment import Enrichment, Tried, lookup_rows
from shared.messages.types import Prediction, Unfound
from tests.kit.referring import problem

SPEC = problem(evaluation={"window": 10})
UNFOUND: list[dict[str, Unfound] | None] = [
    None, {"customers": "missing"}, {"customers": "too_old", "o": "missing"}, None, None,
]  # fmt: skip


def predictions(size: int) -> list[Prediction]:
    return [
        Prediction(
            id=str(n), time=datetime(2024, 1, 1, tzinfo=UTC), prediction=1, model="v1", features={},
            feature_set="", unfound=UNFOUND[n % 5] if n < 40 else None,
        )
        for n in range(size)
    ]  # fmt: skip


def test_counts_are_those_of_plain_counting_also_after_a_restart() -> None:
    enrichment, entries = Enrichment(SPEC), dict[str, bytes]()
    for n, prediction in enumerate(predictions(55)):
        enrichment.predicted(prediction)
        entries |= {name: data for name, data in enrichment.changes() if data is not None}
        if n == 33:
            enrichment = Enrichment(SPEC)
            enrichment.restore(entries)
    whole = Counter((p.unfound or {}).get("customers", "found") for p in predictions(55))
    assert enrichment.summary()["customers"]["all"] == whole
    assert enrichment.newest()["customers"] == Tried(found=15)
    assert enrichment.all()["o"] == Tried(found=47, missing=8)


def test_every_share_says_of_how_many() -> None:
    enrichment = Enrichment(SPEC)
    for prediction in predictions(5):
        enrichment.predicted(prediction)
    first, second = lookup_rows(enrichment, SPEC)
    assert (first.name, first.reference, second.name) == ("customers", "customers", "o")
    assert (first.found, first.too_old) == ("60.0 % (3 of 5)", "20.0 % (1 of 5)")
