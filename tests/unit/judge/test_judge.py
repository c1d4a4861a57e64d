"""The judge over synthetic outcomes: promotions, rejections, rollbacks, operators, state."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from services.judge import SERVICE
from services.judge.contest import gate_rule
from services.judge.core import Judge
from shared.evaluation.loss import loss
from shared.messages.streams import ALERTS, CONTROL, MODELS, OUTCOMES, REJECTED
from shared.messages.types import Alert, Control, ModelEvent, Outcome, Rejected
from shared.problem.spec import Events, FieldSpec, LabelSpec, Problem, Promotion
from shared.registry.decisions import sealed
from shared.registry.signing import Signer, generate_key
from shared.stage import Record, Tools
from tests.kit.check_stage import check_stage
from tests.kit.recorded import KEY, trusting

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def problem(task: str = "binary", **promotion: Any) -> Problem:
    return Problem(
        name="toy",
        goal="the better one",
        task=task,  # type: ignore[arg-type]
        events=Events(fields={"x": FieldSpec(type="number")}),
        label=LabelSpec(field="y"),
        promotion=Promotion(**{"min_pairs": 512, **promotion}),
    )


def tools(signer: Signer = KEY) -> Tools:
    return Tools(None, None, None, signer.sign, trusting)  # type: ignore[arg-type]


def judge_of(problem: Problem) -> Judge:
    return Judge(problem, tools())


def event(model: str, state: str, by: str = "trainer") -> Record:
    step = ModelEvent(model=model, state=state, time=T0, by=by)  # type: ignore[arg-type]
    return Record(MODELS, sealed(step, KEY.sign))


BORN = event("v1", "champion", "learner")


def outcomes(n: int, rates: dict[str, float], champion: str, seed: int = 0, start: int = 0):
    """n outcomes; each version is wrong at its own rate, independently."""
    r = np.random.default_rng(seed)
    for i in range(start, start + n):
        label = int(r.integers(2))
        said = {v: label ^ int(r.random() < rate) for v, rate in rates.items()}
        shadow = {v: {"prediction": s} for v, s in said.items() if v != champion}
        yield Record(OUTCOMES, Outcome(
            id=f"e{i}", time=T0 + timedelta(minutes=i), prediction=said[champion], model=champion,
            features={}, feature_set="f", shadow=shadow or None, label=label), offset=i)  # fmt: skip


def run(judge: Judge, *records: Record) -> list[ModelEvent]:
    return [out.value for out in judge.handle(records)]


def started(**promotion: Any) -> Judge:
    judge = judge_of(problem(**promotion))
    assert run(judge, BORN, event("v2", "shadow")) == []
    return judge


def test_a_better_shadow_is_promoted_with_its_evidence() -> None:
    judge = started()
    (step,) = run(judge, *outcomes(3000, {"v1": 0.2, "v2": 0.1}, "v1"))
    assert (step.model, step.state, step.champion, step.parent) == ("v2", "champion", "v2", "v1")
    e = step.evidence
    assert e["decision"] == "promote"
    assert e["e_value"] >= 20
    assert e["pairs"] >= 512
    assert e["low"] < e["mean_gain"] < e["high"]
    assert "mean gain" in step.reason


def test_by_default_a_promotion_waits_longer_than_a_rollback() -> None:
    rule = gate_rule(problem(min_pairs=Promotion().min_pairs), "promotion")
    back = gate_rule(problem(min_pairs=Promotion().min_pairs), "rollback")
    assert (rule.least_pairs, rule.most_pairs) == (2_048, 20_000)
    assert (back.least_pairs, back.most_pairs) == (512, 2_000)


def test_a_worse_shadow_is_rejected_and_not_judged_again() -> None:
    judge = started()
    (step,) = run(judge, *outcomes(5000, {"v1": 0.1, "v2": 0.25}, "v1"))
    assert (step.model, step.state) == ("v2", "rejected")
    assert step.evidence["reason"] in ("worse", "futility")


def test_a_promotion_that_disappoints_is_rolled_back() -> None:
    judge = started()
    run(judge, *outcomes(1000, {"v1": 0.3, "v2": 0.1}, "v1"))
    after = run(judge, *outcomes(1900, {"v1": 0.1, "v2": 0.3}, "v2", seed=1))
    assert [(s.model, s.state) for s in after] == [("v1", "champion"), ("v2", "rejected")]
    assert after[0].reason.startswith("rolled back")
    assert after[0].evidence["role"] == "rollback"
    assert run(judge, *outcomes(1000, {"v1": 0.1}, "v1", seed=2)) == []


def test_a_promotion_that_holds_closes_the_way_back() -> None:
    judge = started()
    rates = {"v1": 0.3, "v2": 0.1}
    run(judge, *outcomes(1000, rates, "v1"))
    (step,) = run(judge, *outcomes(2100, rates, "v2", seed=1))
    assert (step.model, step.state) == ("v1", "retired")


def test_without_a_watch_the_old_champion_retires_at_once() -> None:
    judge = started(watch_after=0)
    steps = run(judge, *outcomes(1000, {"v1": 0.3, "v2": 0.1}, "v1"))
    assert [(s.model, s.state) for s in steps] == [("v2", "champion"), ("v1", "retired")]


def test_the_judges_own_records_change_nothing_when_they_come_back() -> None:
    judge = started()
    (step,) = run(judge, *outcomes(1000, {"v1": 0.3, "v2": 0.1}, "v1"))
    assert run(judge, Record(MODELS, step)) == []
    assert len(run(judge, *outcomes(1900, {"v1": 0.1, "v2": 0.3}, "v2", seed=1))) == 2


def test_decisions_that_overtake_their_records_are_not_undone_by_them() -> None:
    judge = started()
    run(judge, event("v3", "shadow"))
    first = run(judge, control("promote", target="v2"))
    run(judge, control("promote", target="v3"))
    run(judge, *(Record(MODELS, step) for step in first))
    steps = run(judge, *outcomes(1000, {"v1": 0.1, "v2": 0.1, "v3": 0.4}, "v3"))
    assert [(s.model, s.state) for s in steps] == [("v2", "champion"), ("v3", "rejected")]


def test_live_models_passed_in_memory_are_not_for_the_judge() -> None:
    assert run(judge_of(problem()), Record(MODELS, object())) == []


def test_pairs_are_only_first_labels_of_the_champions_answers() -> None:
    judge = started(min_pairs=32, max_pairs=64)
    for record in outcomes(300, {"v0": 1.0, "v2": 0.0}, "v0"):
        assert run(judge, record) == []
    for record in outcomes(300, {"v1": 1.0, "v2": 0.0}, "v1"):
        record.value.revision = 1
        assert run(judge, record) == []


def test_too_many_shadows_cost_the_weakest() -> None:
    judge = started(max_shadows=2)
    run(judge, event("v3", "shadow"))
    run(judge, *outcomes(300, {"v1": 0.2, "v2": 0.1, "v3": 0.3}, "v1"))
    (step,) = run(judge, event("v4", "shadow"))
    assert (step.model, step.state) == ("v3", "rejected")
    assert "made room for v4" in step.reason


def test_other_contests_start_anew_against_a_new_champion() -> None:
    judge = started(min_effect=0.05)
    run(judge, event("v3", "shadow"))
    rates = {"v1": 0.4, "v2": 0.05, "v3": 0.25}
    steps = run(judge, *outcomes(544, rates, "v1"))
    assert ("v2", "champion") in [(s.model, s.state) for s in steps]
    later = run(judge, *outcomes(4000, rates, "v2", seed=3))
    assert ("v3", "rejected") in [(s.model, s.state) for s in later]


def control(command: str, **more: Any) -> Record:
    return Record(CONTROL, Control(command=command, time=T0, **more))  # type: ignore[arg-type]


def test_operators_promote_and_roll_back() -> None:
    judge = started(policy="approve")
    better = list(outcomes(3000, {"v1": 0.3, "v2": 0.1}, "v1"))
    (step,) = run(judge, *better)  # won, and waits for somebody's word
    assert (step.model, step.state, step.champion) == ("v2", "proposed", "v1")
    (step,) = run(judge, control("promote", target="v2", by="ada", reason="convinced"))
    assert (step.model, step.state, step.by) == ("v2", "champion", "ada")
    assert step.evidence["decision"] == "promote"
    steps = run(judge, control("rollback", by="ada"))
    assert [(s.model, s.state) for s in steps] == [("v1", "champion"), ("v2", "rejected")]


def alert(name: str = "alert-1", cause: str = "concept_drift", severity: str = "page") -> Record:
    return Record(ALERTS, Alert(alert=name, kind="k", cause=cause, severity=severity, state="open",  # type: ignore[arg-type]
                                since=T0, time=T0, series="s"))  # fmt: skip


def test_a_page_of_drift_starts_the_pairs_anew() -> None:
    old, new = {"v1": 0.1, "v2": 0.16}, {"v1": 0.3, "v2": 0.1}
    before, after = list(outcomes(480, old, "v1")), list(outcomes(1200, new, "v1", seed=1))
    judge = started()
    (step,) = run(judge, *before, alert(), alert(), *after)
    assert (step.model, step.state) == ("v2", "champion")
    assert step.evidence["restarts"] == 1 and step.evidence["pairs_before"] == 480
    assert step.evidence["mean_gain"] > 0.15
    for quiet in (alert(severity="evidence"), alert(cause="label_delay")):
        (step,) = run(started(), *before, quiet, *after)
        assert step.evidence["restarts"] == 0
    (step,) = run(started(restart_on_drift=False), *before, alert(), *after)
    assert step.evidence["pairs_before"] == 0


def told(n: int, champion: str, sure: dict[str, float], right: dict[str, float], seed: int = 0):
    """Outcomes with probabilities: each version is right at its own rate, and always equally sure."""
    r = np.random.default_rng(seed)
    for i in range(n):
        label = int(r.integers(2))
        said = {}
        for version, rate in right.items():
            answer = label if r.random() < rate else 1 - label
            p = sure[version]
            said[version] = {"prediction": answer,
                             "probabilities": {str(answer): p, str(1 - answer): 1 - p}}  # fmt: skip
        mine = said.pop(champion)
        yield Record(OUTCOMES, Outcome(
            id=f"e{seed}-{i}", time=T0 + timedelta(minutes=i), model=champion, features={},
            feature_set="f", shadow=said or None, label=label, **mine), offset=i)  # fmt: skip


def test_a_guard_metric_holds_back_who_is_more_often_right_and_far_too_sure() -> None:
    right, sure = {"v1": 0.7, "v2": 0.75}, {"v1": 0.7, "v2": 0.995}
    (step,) = run(started(), *told(6000, "v1", sure, right))
    assert (step.model, step.state) == ("v2", "champion")
    judge = started(guards=[{"metric": "log_loss"}])
    (step,) = run(judge, *told(6000, "v1", sure, right))
    assert (step.model, step.state) == ("v2", "rejected")
    assert "guard metric log_loss" in step.reason
    assert step.evidence["guards"]["log_loss"]["mean_loss"] > 0.1
    honest = {"v1": 0.7, "v2": 0.75}
    judge = started(guards=[{"metric": "log_loss"}])
    (step,) = run(judge, *told(6000, "v1", honest, right))
    assert (step.model, step.state) == ("v2", "champion")
    assert not step.evidence["guards"]["log_loss"]["e_value"] >= 20


def test_a_guard_metric_takes_a_new_champion_back() -> None:
    judge = started(guards=[{"metric": "log_loss"}], watch_after=4_000)
    right, honest = {"v1": 0.7, "v2": 0.78}, {"v1": 0.7, "v2": 0.78}
    assert run(judge, *told(6000, "v1", honest, right))[-1].state == "champion"
    alike = {"v1": 0.75, "v2": 0.75}
    steps = run(judge, *told(3000, "v2", {"v1": 0.75, "v2": 0.995}, alike, seed=1))
    assert [(s.model, s.state) for s in steps] == [("v1", "champion"), ("v2", "rejected")]
    assert "v2 is worse in the guard metric log_loss" in steps[0].reason


def test_a_command_that_cannot_be_done_is_rejected_with_the_reason() -> None:
    judge = started()
    outs = list(judge.handle([control("promote", target="v9"), control("rollback")]))
    assert all(isinstance(out.value, Rejected) for out in outs)
    assert "shadows: v2" in outs[0].value.reason
    assert "cannot roll back" in outs[1].value.reason
    assert list(judge.handle([control("tick"), control("acknowledge", target="a")])) == []


def test_a_refused_artefact_ends_its_contest() -> None:
    judge = started()
    run(judge, event("v2", "rejected", "learner"))
    assert run(judge, *outcomes(2000, {"v1": 0.4, "v2": 0.1}, "v1")) == []


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("accuracy", 1.0), ("log_loss", 2.302585093), ("mae", 2.0), ("rmse", 4.0)],
)
def test_losses_by_metric(metric: str, expected: float) -> None:
    assert loss(metric, 3, 1, {"3": 0.1, "1": 0.9}) == pytest.approx(expected)
    assert loss(metric, 3, None, None) is None
    assert loss("mae", "a", 1, None) is None
    assert loss("log_loss", 3, 1, None) is None


def test_regression_is_judged_on_scaled_losses() -> None:
    judge = judge_of(problem("regression"))
    run(judge, BORN, event("v2", "shadow"))
    r, steps = np.random.default_rng(0), []
    for i in range(3000):
        y = 1000 * float(r.normal())
        o = Outcome(id=str(i), time=T0, prediction=y + 90 * float(r.normal()), model="v1",
                    features={}, feature_set="f", label=y,
                    shadow={"v2": {"prediction": y + 45 * float(r.normal())}})  # fmt: skip
        steps += run(judge, Record(OUTCOMES, o))
    assert (steps[0].model, steps[0].state) == ("v2", "champion")
    assert 10 < steps[0].evidence["mean_gain"] < 60


def test_the_contract_of_a_stage() -> None:
    rates = {"v1": 0.3, "v2": 0.1, "v3": 0.32}
    records = [BORN, event("v2", "shadow"), event("v3", "shadow")]
    records += list(outcomes(700, rates, "v1"))
    records += [alert("a"), *told(300, "v1", {"v1": 0.6, "v2": 0.7}, {"v1": 0.7, "v2": 0.9})]
    records += [alert("b"), alert("b")]
    records += [control("promote", target="v2"), control("promote", target="v7")]
    records += list(outcomes(2200, rates | {"v1": 0.05}, "v2", seed=1))
    guarded = problem(guards=[{"metric": "log_loss"}])
    outs = check_stage(SERVICE, lambda: judge_of(guarded), records, (1, 3, 400, 705, 900, 1500))
    assert {o.value.state for o in outs if o.stream is MODELS} >= {"champion", "rejected"}


@pytest.mark.parametrize(
    ("model", "state", "by"),
    [("v3", "shadow", "trainer"), ("v2", "rejected", "learner"), ("v2", "champion", "judge")],
)
def test_what_no_trusted_key_signed_is_refused(model: str, state: str, by: str) -> None:
    """Unsigned, signed by another, or changed after it was signed: nothing follows from it."""
    judge, true = started(), event(model, state, by).value
    step = msgspec.structs.replace(true, signature=None)
    other = sealed(step, Signer(generate_key()).sign)
    changed = msgspec.structs.replace(true, evidence={"gain": 1.0})
    for forged in (step, other, changed):
        (out,) = judge.handle([Record(MODELS, forged, offset=7)])
        assert (out.stream, out.value.check, out.value.offset) == (
            REJECTED,
            "untrusted_artefact",
            7,
        )
        assert f"the judge does not act on `{model} {state}`" in out.value.reason
    (step,) = run(judge, *outcomes(3000, {"v1": 0.2, "v2": 0.1, "v3": 0.0}, "v1"))
    assert (step.model, step.state) == ("v2", "champion")
