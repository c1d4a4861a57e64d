"""What a retraining gained, as the last record of its job."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from services.judge import SERVICE
from services.judge.core import Judge
from shared.evaluation.gate import EVERY
from shared.messages.streams import JOBS, MODELS, OUTCOMES, REJECTED
from shared.messages.types import Job, ModelEvent
from shared.problem.spec import OnCost, OnVolume, OnVotes, Retraining
from shared.registry.decisions import sealed, signed_by
from shared.registry.signing import Verifier
from shared.stage import Record
from tests.kit.check_stage import check_stage
from tests.kit.recorded import KEY
from tests.unit.judge.test_judge import (
    BORN,
    T0,
    alert,
    control,
    event,
    judge_of,
    outcomes,
    problem,
)

RATES = {"v1": 0.3, "v2": 0.1}


def verdict(state: Any, job: str = "job-0001", model: str = "v2") -> Record:
    told = Job(job=job, state=state, reason="", trigger="cost", time=T0, model=model,
               start=0, end=500, evidence={"fit_seconds": 1.5, "entries": [{"name": "x"}]})  # fmt: skip
    return Record(JOBS, sealed(told, KEY.sign))


def shadow(model: str = "v2", job: str = "job-0001") -> Record:
    step = ModelEvent(model=model, state="shadow", time=T0, by="trainer", job=job)
    return Record(MODELS, sealed(step, KEY.sign))


def settled(judge: Judge, records: Sequence[Record]) -> list[Job]:
    return [o.value for o in judge.handle(records) if o.stream is JOBS]


def judge(price: float | None = 10.0, **promotion: Any) -> Judge:
    spec = problem(**promotion)
    retraining = Retraining(fit_price=price)
    return judge_of(spec.model_copy(update={"retraining": retraining}))


@pytest.mark.parametrize("state", ["rejected", "failed"])
def test_who_was_not_accepted_gained_nothing_at_its_price(state: str) -> None:
    one = judge()
    (job,) = settled(one, [BORN, verdict("running"), verdict(state), verdict(state)])
    assert (job.job, job.state, job.trigger) == ("job-0001", "settled", "cost")
    account = job.evidence
    assert (account["verdict"], account["gained"], account["net"]) == (state, 0, -10)
    assert account["fit_seconds"] == 1.5
    assert signed_by(job, Verifier([KEY.public])) == KEY.key_id
    assert settled(one, [Record(JOBS, job), verdict(state)]) == []


def test_a_champion_gained_what_it_lost_less_than_the_one_before_it() -> None:
    """Beside a sum by hand over the events between promotion and the end of the watch."""
    one = judge(watch_after=700)
    promoting = list(outcomes(600, RATES, "v1"))
    assert settled(one, [BORN, verdict("accepted"), shadow(), *promoting]) == []
    watched = list(outcomes(900, RATES, "v2", seed=1))
    watched[200:200] = [alert("a")]  # a page makes the test forget, not the account
    found, seen = [], 0
    for record in watched:
        found += settled(one, [record])
        seen += record.stream is OUTCOMES and not found
    (job,) = found
    pairs = [r.value for r in watched if r.stream is OUTCOMES][: seen + 1]
    now = sum(o.prediction != o.label for o in pairs)
    before = sum(o.shadow["v1"]["prediction"] != o.label for o in pairs)
    account = job.evidence
    assert account["pairs"] == len(pairs)
    assert 512 <= len(pairs) < 700 + EVERY
    assert (account["lost"], account["lost_before"]) == (now, before)
    assert account["gained"] == before - now
    assert account["low"] < account["gained"] < account["high"]
    assert account["net"] == account["gained"] - 10
    assert (account["over"], account["horizon"]) == ("v1", 700)
    assert "entries" not in account


def test_a_rollback_settles_a_loss() -> None:
    one = judge()
    swapped = {"v1": 0.1, "v2": 0.3}
    records = [BORN, verdict("accepted"), shadow(), *outcomes(1_000, RATES, "v1")]
    (job,) = settled(one, [*records, *outcomes(1_900, swapped, "v2", seed=1)])
    assert job.evidence["gained"] < 0
    assert "more errors" in job.reason


def test_a_shadow_that_never_reigned_gained_nothing() -> None:
    worse = {"v1": 0.1, "v2": 0.3}
    (job,) = settled(judge(), [BORN, verdict("accepted"), shadow(), *outcomes(5_000, worse, "v1")])
    assert (job.evidence["gained"], job.evidence["net"]) == (0, -10)
    refused = [BORN, verdict("accepted"), shadow(), event("v2", "rejected", "learner")]
    (job,) = settled(judge(), refused)
    assert "never became champion" in job.reason


def test_without_a_watch_the_gain_is_not_known() -> None:
    records = [BORN, verdict("accepted"), shadow(), *outcomes(1_000, RATES, "v1")]
    (job,) = settled(judge(watch_after=0), records)
    assert (job.evidence["gained"], job.evidence["net"]) == (None, None)
    (job,) = settled(judge(price=None), [BORN, verdict("failed")])
    assert (job.evidence["gained"], job.evidence["net"]) == (0, None)


def test_a_watched_champion_that_is_refused_closes_the_account_too() -> None:
    one = judge()
    settled(one, [BORN, verdict("accepted"), shadow(), *outcomes(1_000, RATES, "v1")])
    settled(one, list(outcomes(100, RATES, "v2", seed=1)))
    (job,) = settled(one, [event("v1", "rejected", "learner")])
    assert job.evidence["pairs"] == 100


def test_verdict_and_steps_may_come_in_either_order() -> None:
    life = [BORN, shadow(), *outcomes(1_000, RATES, "v1"), *outcomes(2_100, RATES, "v2", seed=1)]
    (late,) = settled(judge(), [*life, verdict("accepted")])
    (early,) = settled(judge(), [verdict("accepted"), *life])
    assert late.evidence == early.evidence
    assert late.time == early.time


def test_the_contract_of_a_stage() -> None:
    records = [BORN, verdict("accepted"), shadow(), verdict("rejected", "job-0002", "v3")]
    records += list(outcomes(700, RATES, "v1"))
    records += [shadow("v4", "job-0003"), verdict("accepted", "job-0003", "v4")]
    records += [*outcomes(300, RATES, "v2", seed=1), control("promote", target="v4")]
    records += list(outcomes(300, {"v2": 0.1, "v4": 0.4}, "v4", seed=2))
    records += [control("rollback"), verdict("accepted"), shadow()]
    outs = check_stage(SERVICE, judge, records, (1, 3, 400, 705, 900, 1_300))
    told = [(o.value.job, o.value.evidence["verdict"]) for o in outs if o.stream is JOBS]
    assert told == [("job-0002", "rejected"), ("job-0001", "accepted"), ("job-0003", "accepted")]


def test_the_price_is_declared_once() -> None:
    cost = OnCost(on="cost", fit_price=40)
    votes = OnVotes(on="votes", among=[OnVolume(on="volume", outcomes=100), cost])
    assert Retraining(triggers=[votes]).price == 40
    assert Retraining(triggers=[cost], fit_price=7).price == 7
    assert Retraining().price is None


def test_an_account_is_closed_only_by_verdicts_that_a_trusted_key_signed() -> None:
    one, true = judge(), verdict("rejected").value
    forged = msgspec.structs.replace(true, signature=None)
    (out,) = one.handle([BORN, Record(JOBS, forged, offset=3)])
    assert (out.stream, out.value.check, out.value.offset) == (REJECTED, "untrusted_artefact", 3)
    assert len(settled(one, [verdict("rejected")])) == 1
