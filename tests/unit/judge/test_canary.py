"""Canary, policies, faults: every step, by whom, and its signature."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from services.judge import SERVICE
from shared.errors import UntrustedArtefact
from shared.messages.codec import decode, encode
from shared.messages.streams import ALERTS, MODELS, OUTCOMES
from shared.messages.types import Alert, ModelEvent, Outcome, Rejected
from shared.problem.spec import Canary
from shared.registry.decisions import signed_by
from shared.registry.signing import Signer, Verifier, generate_key
from shared.stage import Record
from tests.kit.check_stage import check_stage
from tests.kit.recorded import KEY
from tests.unit.judge.test_judge import BORN, T0, control, event, judge_of, problem, run, started

CANARY = Canary(share=0.05, pairs=416)
GOOD = {"v1": 0.3, "v2": 0.1}
EVERY = 20


def answered(n: int, rates: dict[str, float], canary: str | None, seed: int = 0) -> Any:
    """n outcomes of the champion v1; every 20th was answered by the canary."""
    r = np.random.default_rng(seed)
    for i in range(n):
        label = int(r.integers(2))
        said = {v: label ^ int(r.random() < rate) for v, rate in rates.items()}
        speaker = canary if canary and i % EVERY == 0 else "v1"
        yield Record(OUTCOMES, Outcome(
            id=f"c{seed}-{i}", time=T0 + timedelta(minutes=i), prediction=said[speaker],
            model=speaker, champion=None if speaker == "v1" else "v1", features={},
            feature_set="f", label=label,
            shadow={v: {"prediction": s} for v, s in said.items() if v != speaker}))  # fmt: skip


def steps(found: list[ModelEvent]) -> list[tuple[str, str, str]]:
    return [(step.model, step.state, step.by) for step in found]


def test_a_winner_answers_a_share_before_it_takes_over() -> None:
    judge = started(canary=CANARY)
    assert steps(run(judge, *answered(512, GOOD, None))) == [("v2", "canary", "judge")]
    (step,) = run(judge, *answered(416, GOOD, "v2", seed=1))
    assert steps([step]) == [("v2", "champion", "judge")]
    assert step.evidence["role"] == "canary"
    assert step.evidence["pairs"] == 416  # the canary's own answers are pairs too
    assert "found no worse as a canary" in step.reason


def test_a_canary_that_is_worse_is_stopped_at_128_pairs() -> None:
    judge = started(canary=CANARY)
    run(judge, *answered(512, GOOD, None))
    bad = list(answered(416, {"v1": 0.2, "v2": 0.8}, "v2", seed=1))
    assert run(judge, *bad[:127]) == []
    (step,) = run(judge, bad[127])
    assert steps([step]) == [("v2", "rejected", "judge")]
    assert step.evidence["mean_gain"] > 0.3  # the champion's, over the canary
    assert "v1 is better" in step.reason


def test_a_canary_as_good_as_the_champion_passes() -> None:
    judge = started(canary=CANARY)
    run(judge, *answered(512, GOOD, None))
    equal = run(judge, *answered(416, {"v1": 0.2, "v2": 0.2}, "v2", seed=1))
    assert steps(equal) == [("v2", "champion", "judge")]


def test_a_second_winner_waits_until_the_canary_is_over() -> None:
    judge = started(canary=CANARY)
    run(judge, event("v3", "shadow"))
    rates = {"v1": 0.4, "v2": 0.1, "v3": 0.1}
    assert steps(run(judge, *answered(512, rates, None))) == [("v2", "canary", "judge")]
    (refused,) = judge.handle([control("promote", target="v3")])
    assert isinstance(refused.value, Rejected)
    assert "v2 is the canary" in refused.value.reason
    run(judge, control("reject", target="v2", by="ada"))
    assert steps(run(judge, *answered(40, rates, None, seed=2))) == [("v3", "canary", "judge")]


def test_propose_asks_before_anything_is_exposed() -> None:
    judge = started(policy="propose", canary=CANARY)
    assert steps(run(judge, *answered(900, GOOD, None))) == [("v2", "proposed", "judge")]
    told = run(judge, control("promote", target="v2", by="ada", reason="convinced"))
    assert steps(told) == [("v2", "canary", "ada")]
    after = run(judge, *answered(416, GOOD, "v2", seed=1))
    assert steps(after) == [("v2", "champion", "judge")]


def test_approve_gives_a_person_the_last_word() -> None:
    judge = started(policy="approve", canary=CANARY)
    assert steps(run(judge, *answered(512, GOOD, None))) == [("v2", "canary", "judge")]
    after = run(judge, *answered(900, GOOD, "v2", seed=1))
    assert steps(after) == [("v2", "proposed", "judge")]
    told = run(judge, control("promote", target="v2", by="ada"))
    assert steps(told) == [("v2", "champion", "ada")]
    assert "by ada (no reason given)" in told[0].reason


@pytest.mark.parametrize("policy", ["propose", "approve"])
def test_a_rollback_waits_for_nobody(policy: str) -> None:
    judge = started(policy=policy)
    run(judge, control("promote", target="v2", by="ada"))
    worse = [r for r in answered(800, {"v1": 0.1, "v2": 0.4}, None)]
    for record in worse:
        o = record.value
        o.model, o.prediction, o.shadow = (
            "v2", o.shadow["v2"]["prediction"], {"v1": {"prediction": o.prediction}},
        )  # fmt: skip
    assert steps(run(judge, *worse)) == [("v1", "champion", "judge"), ("v2", "rejected", "judge")]


def test_one_command_takes_back_the_last_step() -> None:
    judge = started(canary=CANARY)
    run(judge, control("promote", target="v2", by="ada"))
    undone = run(judge, control("rollback", by="bob", reason="calls came in"))
    assert steps(undone) == [("v2", "rejected", "bob")]
    assert undone[0].reason == "taken back by bob: calls came in"


def alert(kind: str, version: str, state: Any = "open") -> Record:
    return Record(ALERTS, Alert(
        alert="alert-0001", kind=kind, cause="data_quality", severity="page", state=state, since=T0,
        time=T0, series=f"model {version}", evidence={"model": version, "of": 8},
        text=f"{version} gives no usable answer"))  # fmt: skip


def test_a_faulty_version_ends_at_the_alert() -> None:
    judge = started()
    assert run(judge, alert("no_answer", "v2", "resolved"), alert("errors", "v2")) == []
    (step,) = run(judge, alert("no_answer", "v2"))
    assert steps([step]) == [("v2", "rejected", "judge")]
    assert step.evidence == {"alert": "alert-0001", "kind": "no_answer", "model": "v2", "of": 8}


def test_a_faulty_champion_is_rolled_back_if_there_is_a_way_back() -> None:
    judge = started()
    assert run(judge, alert("no_answer", "v1")) == []  # nobody is there to take over
    run(judge, control("promote", target="v2"))
    found = run(judge, alert("estimated_worse", "v2"))
    assert steps(found) == [("v1", "champion", "judge"), ("v2", "rejected", "judge")]
    assert all(step.evidence["kind"] == "estimated_worse" for step in found)


@pytest.mark.parametrize("declared", [False, True])
def test_an_estimated_regression_rolls_back_where_that_is_declared(declared: bool) -> None:
    judge = started(estimated={"rollback": declared})
    run(judge, control("promote", target="v2"))
    found = run(judge, alert("estimated_regression", "v2"))
    back = [("v1", "champion", "judge"), ("v2", "rejected", "judge")]
    assert steps(found) == (back if declared else [])
    assert all(step.evidence["kind"] == "estimated_regression" for step in found)


def test_every_decision_is_signed_as_it_stands_on_the_log() -> None:
    judge = started(canary=CANARY)
    found = run(judge, *answered(512, GOOD, None))
    found += run(judge, control("rollback", by="ada"))
    ours, others = Verifier([KEY.public]), Verifier([Signer(generate_key()).public])
    for step in found:
        read = decode(MODELS, encode(step))
        assert signed_by(read, ours) == KEY.key_id
        with pytest.raises(UntrustedArtefact, match="unknown key"):
            signed_by(read, others)
        read.evidence["e_value"] = 1e9
        with pytest.raises(UntrustedArtefact, match="changed"):
            signed_by(read, ours)


def test_the_contract_of_a_stage_holds_with_a_canary() -> None:
    records = [BORN, event("v2", "shadow"), event("v3", "shadow")]
    rates = GOOD | {"v3": 0.3}
    records += [*answered(900, rates, None), alert("no_answer", "v3")]
    records += list(answered(500, rates, "v2", seed=1))
    made = lambda: judge_of(problem(canary=CANARY))  # noqa: E731
    outs = check_stage(SERVICE, made, records, (1, 2, 700, 905, 1000, 1350))
    assert [o.value.state for o in outs] == ["canary", "rejected", "champion"]


def test_a_canary_needs_its_section() -> None:
    judge = judge_of(problem())
    run(judge, BORN, event("v2", "shadow"))
    assert steps(run(judge, control("promote", target="v2"))) == [
        ("v2", "champion", "an operator")
    ]
