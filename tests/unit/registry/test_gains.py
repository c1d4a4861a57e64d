"""Accounts of jobs in words, and summed by policy."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.messages.types import Job
from shared.registry.gains import scored, told

MEASURED = {"pairs": 2_000, "lost": 212.0, "lost_before": 270.0, "over": "v1", "low": 12.0,
            "high": 104.0}  # fmt: skip


def account(gained: float | None, verdict: str = "accepted", **more: Any) -> dict[str, Any]:
    return {"verdict": verdict, "metric": "accuracy", "gained": gained, "price": 50.0,
            "net": None if gained is None else gained - 50, "fit_seconds": 2.0, **more}  # fmt: skip


def job(name: str, trigger: str, evidence: dict[str, Any], state: Any = "settled") -> Job:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Job(job=name, state=state, reason="", trigger=trigger, time=at, evidence=evidence)


def test_an_account_says_what_where_and_how_sure() -> None:
    text = told(account(58.0, **MEASURED))
    for part in ("saved 58 errors", "(+12 to +104)", "2,000 events", "212 where v1 would have lost 270",
                 "net +8"):  # fmt: skip
        assert part in text
    assert "lost 6 more errors" in told(account(-6.0, **MEASURED))
    assert "rejected" in told(account(0.0, "rejected"))
    assert "failed" in told(account(0.0, "failed"))
    assert "never became champion" in told(account(0.0))
    assert "not known" in told(account(None, pairs=0))
    assert "no price" in told(account(0.0, "rejected", price=None, net=None))


def test_policies_are_scored_by_their_jobs_each_once() -> None:
    records = [
        job("job-0001", "cost", account(58.0, **MEASURED)),
        job("job-0002", "drift", account(0.0, "rejected")),
        job("job-0002", "drift", account(0.0, "rejected")),
        job("job-0003", "cost", account(-8.0, **MEASURED)),
        job("job-0004", "cost", {}, "accepted"),
        job("job-0005", "drift", account(None, pairs=0)),
    ]
    cost, drift = scored(records)
    assert (cost["policy"], cost["jobs"], cost["promoted"]) == ("cost", 2, 2)
    assert (cost["gained"], cost["price"], cost["net"]) == (50, 100, -50)
    assert cost["seconds"] == pytest.approx(4)
    assert (cost["low"], cost["high"]) == (24, 208)
    assert (drift["jobs"], drift["accepted"], drift["promoted"], drift["unknown"]) == (2, 1, 1, 1)
    assert (drift["gained"], drift["net"]) == (0, -100)
