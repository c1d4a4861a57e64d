"""Differences that the auditor found become one page, which the next clean window closes."""

from datetime import UTC, datetime, timedelta

from services.monitor.core import Monitor
from shared.messages.streams import AUDITS, PREDICTIONS
from shared.messages.types import Alert, Audit, AuditedFeature, Prediction
from shared.stage import Record
from tests.unit.console.synthetic import problem

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def window(day: int, *features: AuditedFeature, partition: int = 0, foreign: int = 0) -> Record:
    audit = Audit(
        start=START + day * DAY, end=START + (day + 1) * DAY, compared=10,
        features=list(features), partition=partition, foreign=foreign,
    )  # fmt: skip
    return Record(AUDITS, audit)


def said(n: int) -> Record:
    features = {"nswprice": float(n), "nswdemand": 1.0, "vicprice": 0.5}
    prediction = Prediction(
        id=f"e{n}", time=START + n * DAY / 48, prediction=1, model="v1", features=features,
        feature_set="f",
    )  # fmt: skip
    return Record(PREDICTIONS, prediction)


def alerts(*records: Record) -> list[Alert]:
    return [out.value for out in Monitor(problem()).handle(records)]


BAD = AuditedFeature("nswdemand", mismatch=4, missing=1, id="e7", served=1.0, expected=2.0)
WORSE = AuditedFeature("vicprice", extra=9, id="e8", served=0.5)


def test_a_skew_is_a_page_that_names_the_features_the_worst_first() -> None:
    (alert,) = alerts(window(0, BAD, WORSE), said(1))
    assert (alert.kind, alert.cause, alert.severity, alert.state) == (
        "feature_skew", "data_quality", "page", "open",
    )  # fmt: skip
    assert [(f.feature, f.evidence) for f in alert.features] == [
        ("vicprice", 0.9), ("nswdemand", 0.5),
    ]  # fmt: skip
    assert "4 mismatched, 1 missing, 0 extra of 10" in alert.features[1].detail
    assert "e8: served 0.5, raw events give nothing" in alert.features[0].detail
    assert alert.since == START and alert.runbook.endswith("#feature-skew")


def test_one_episode_until_a_clean_window_of_the_same_partition() -> None:
    records = [window(0, BAD), said(1), window(1, BAD), said(2), window(1, partition=1), said(3)]
    assert [alert.state for alert in alerts(*records)] == ["open"]
    states = [alert.state for alert in alerts(*records, window(2), said(4))]
    assert states == ["open", "resolved"]


def test_it_does_not_resolve_by_mere_time() -> None:
    found = alerts(window(0, BAD), *map(said, range(1_200)))
    assert "resolved" not in [alert.state for alert in found if alert.kind == "feature_skew"]


def test_another_definition_alone_warns() -> None:
    (alert,) = alerts(window(0, foreign=3), said(1))
    assert alert.severity == "warn" and "another definition" in alert.text


def test_clean_windows_say_nothing() -> None:
    assert alerts(window(0), said(1), window(1), said(2)) == []
