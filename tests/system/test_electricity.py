"""The example, whole: what README promises about it (one run, shared by the assertions)."""

from typing import Any

import pytest

from tests.kit.runs import ELECTRICITY, run_json

pytestmark = pytest.mark.slow
BREAK = "1997-05-05T00:00"  # event 17,424: 363 days of 48 half-hours after 1996-05-07


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_json(ELECTRICITY, tmp_path_factory.mktemp("run") / "data")


def test_every_event_has_a_prediction_and_all_but_the_last_an_outcome(
    result: dict[str, Any],
) -> None:
    assert result["events"] == result["predictions"] == 45_312
    assert result["rejected"] == 0
    assert result["outcomes"] == 45_311


def test_published_predictions_are_right_in_ninety_of_a_hundred_and_beat_every_baseline(
    result: dict[str, Any],
) -> None:
    assert result["metrics"]["accuracy"] >= 0.900
    baselines = result["baselines"]
    assert {"majority", "no_change", "linear", "as_yesterday"} <= set(baselines)
    assert baselines["majority"]["accuracy"] == pytest.approx(0.590, abs=0.002)
    assert baselines["no_change"]["accuracy"] == pytest.approx(0.801, abs=0.002)
    assert (
        0.88 <= baselines["linear"]["accuracy"] <= 0.91
    )  # every label known before the next event
    for name, metrics in baselines.items():
        assert result["metrics"]["accuracy"] > metrics["accuracy"], name


def test_the_break_in_the_source_is_named_with_its_fields_within_a_hundred_events(
    result: dict[str, Any],
) -> None:
    pages = [
        a for a in result["alerts"] if a["severity"] == "page" and a["cause"] == "source_break"
    ]
    found = [a for a in pages if a["since"].startswith(BREAK[:10])]
    assert found, pages
    names = {f["feature"] for a in found for f in a["features"]}
    assert {"vicprice", "vicdemand", "transfer"} <= names
    assert min(a["history"][0]["event"] for a in found) - 17_424 <= 100


def test_a_job_was_accepted_and_swapped_in_and_another_one_rejected_with_its_evidence(
    result: dict[str, Any],
) -> None:
    states = {job["job"]: job["state"] for job in result["jobs"]}
    assert "accepted" in states.values()
    refused = [job for job in result["jobs"] if job["state"] == "rejected"]
    rejected_live = [m for m in result.get("models", []) if m["state"] == "rejected"]
    assert refused or rejected_live
    assert all(job["reason"] and job["evidence"] for job in refused)
    assert result["swaps"]
