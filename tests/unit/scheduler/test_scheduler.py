"""When a job is asked for, and when not."""

from datetime import UTC, datetime, timedelta
from typing import Any

from services.scheduler import SERVICE
from services.scheduler.core import Scheduler
from shared.messages.streams import ALERTS, CONTROL, OUTCOMES
from shared.messages.types import Alert, Control, Job, Outcome
from shared.problem.spec import Events, FieldSpec, LabelSpec, Problem
from shared.stage import Record
from tests.kit.check_stage import check_stage

T0 = datetime(2000, 1, 1, tzinfo=UTC)


def scheduler(*triggers: dict[str, Any], **retraining: Any) -> Scheduler:
    spec = {"minimum": 50, "cooldown": 100, "effect_after": 20, "window": 500, **retraining}
    problem = Problem.model_validate({
        "name": "p", "goal": "g", "task": "binary",
        "events": Events(fields={"x": FieldSpec(type="number")}).model_dump(),
        "label": LabelSpec(field="y").model_dump(),
        "retraining": {"triggers": list(triggers), **spec},
    })  # fmt: skip
    return Scheduler(problem)


def outcomes(n: int, start: int = 0) -> list[Record]:
    value = Outcome(
        id="a", time=T0, prediction=1, model="v1", features={}, feature_set="f", label=1
    )
    return [Record(OUTCOMES, value, offset=start + i) for i in range(n)]


def alert(
    name: str = "alert-1", cause: Any = "source_break", severity: Any = "page", state: Any = "open"
) -> Record:
    value = Alert(
        alert=name,
        kind="k",
        cause=cause,
        severity=severity,
        state=state,
        since=T0,
        time=T0,
        series="s",
    )
    return Record(ALERTS, value)


def tick(hours: float) -> Record:
    return Record(CONTROL, Control(command="tick", time=T0 + timedelta(hours=hours)))


def jobs(stage: Scheduler, *records: Record) -> list[Job]:
    return [out.value for out in stage.handle(records)]


def test_volume_asks_every_n_outcomes_with_the_range_and_the_place_of_effect() -> None:
    found = jobs(scheduler({"on": "volume", "outcomes": 300}), *outcomes(700))
    assert [(j.job, j.start, j.end, j.effective) for j in found] == [
        ("job-0001", 0, 300, 320), ("job-0002", 100, 600, 620),
    ]  # fmt: skip
    assert found[0].trigger == "volume" and "300 new outcomes" in found[0].reason


def test_a_page_asks_once_after_the_new_world_has_settled() -> None:
    stage = scheduler({"on": "drift", "settle": 80})
    assert jobs(stage, *outcomes(200), alert(), alert(), *outcomes(79, 200)) == []
    (job,) = jobs(stage, *outcomes(1, 279))
    assert job.end == 280 and "alert-1" in job.reason
    assert jobs(stage, alert(state="resolved"), alert(), *outcomes(500, 280)) == []


def test_evidence_and_other_causes_do_not_ask() -> None:
    stage = scheduler({"on": "drift", "settle": 0})
    records = [alert("a", severity="evidence"), alert("b", cause="label_delay"), *outcomes(300)]
    assert jobs(stage, *records) == []


def test_cooldown_and_a_job_under_way_hold_requests_back_and_join_their_reasons() -> None:
    stage = scheduler({"on": "drift", "settle": 0}, cooldown=300)
    first = jobs(stage, *outcomes(100), alert("a"), *outcomes(1, 100))
    later = jobs(stage, alert("b"), alert("c"), *outcomes(299, 101))
    assert len(first) == 1 and later == []
    (job,) = jobs(stage, *outcomes(1, 400))
    assert "alert b" in job.reason and "alert c" in job.reason


def test_nothing_is_asked_before_the_minimum() -> None:
    stage = scheduler({"on": "drift", "settle": 0}, minimum=150)
    assert jobs(stage, alert(), *outcomes(149)) == []
    assert len(jobs(stage, *outcomes(1, 149))) == 1


def test_a_schedule_fires_in_the_time_of_ticks_once_a_window() -> None:
    stage = scheduler({"on": "schedule", "cron": "0 6 * * *"})
    early = [*outcomes(100), tick(1), tick(5), *outcomes(1, 100)]
    assert jobs(stage, *early) == []
    (job,) = jobs(stage, tick(6.5), *outcomes(1, 101))
    assert "2000-01-01 06:00" in job.reason
    assert jobs(stage, tick(7), tick(8), *outcomes(200, 102)) == []


def test_since_drift_leaves_out_the_old_world() -> None:
    stage = scheduler({"on": "drift", "settle": 100}, since_drift=True)
    (job,) = jobs(stage, *outcomes(400), alert(), *outcomes(100, 400))
    assert (job.start, job.end) == (400, 500)


def test_an_operator_can_ask() -> None:
    stage = scheduler()
    ask = Record(CONTROL, Control(command="retrain", time=T0, by="ann", reason="new tariff"))
    (job,) = jobs(stage, *outcomes(60), ask, *outcomes(1, 60))
    assert job.trigger == "manual" and "ann" in job.reason and "new tariff" in job.reason


def test_a_price_declared_asks_by_what_the_newest_fit_cost() -> None:
    def answers(n: int, start: int, wrong: float, late: int = 0) -> list[Record]:
        return [
            Record(OUTCOMES, Outcome(
                id=f"{i}", time=T0 + timedelta(minutes=i - late), labelled_at=T0 + timedelta(minutes=i),
                prediction=int(i % 100 < 100 * wrong), model="v1", features={}, feature_set="f",
                label=0), offset=i)
            for i in range(start, start + n)
        ]  # fmt: skip

    trigger = {"on": "cost", "fit_price": 30, "first": 100}
    stage = scheduler(trigger)
    (job,) = jobs(stage, *answers(700, 0, 0.1))
    assert (job.end, job.trigger) == (100, "cost") and "first fit" in job.reason
    (job,) = jobs(stage, *answers(400, 700, 0.5))
    assert "above the 0 an outcome" in job.reason and 720 < job.end < 760
    # predicted before the fit took effect at 120: says nothing of it, however bad
    stage = scheduler(trigger)
    jobs(stage, *answers(121, 0, 0.1), *answers(600, 121, 0.1))
    assert jobs(stage, *answers(600, 721, 1.0, late=2_000)) == []


def test_live_a_fit_takes_effect_when_it_is_there() -> None:
    stage = scheduler({"on": "performance", "worse_by": 0.1, "window": 50}, effect_after=0)
    live = Record(CONTROL, Control(command="start", time=T0, details={"mode": "live"}))
    ask = Record(CONTROL, Control(command="retrain", time=T0))
    jobs(stage, live, *outcomes(60), ask, *outcomes(60, 60))
    assert stage._state.fitted is None
    jobs(stage, Record(CONTROL, Control(command="trained", time=T0, target="job-0001")))
    assert stage._state.fitted == T0


def test_how_far_back_a_dataset_may_look_is_the_policys() -> None:
    more = {"window": 500, "budget": {"rows": 200}}
    starts = {}
    for policy in ("window", "recency", "reservoir", "all"):
        stage = scheduler({"on": "volume", "outcomes": 900}, **more, selection={"policy": policy})
        starts[policy] = jobs(stage, *outcomes(900))[0].start
    assert starts == {"window": 700, "recency": 400, "reservoir": 400, "all": 0}


def test_the_contract_of_a_stage_with_every_policy() -> None:
    triggers: list[dict[str, Any]] = [
        {"on": "cost", "fit_price": 20, "first": 100},
        {"on": "performance", "worse_by": 0.1, "window": 50},
        {"on": "votes", "among": [{"on": "volume", "outcomes": 90}, {"on": "drift"}]},
        {"on": "schedule", "cron": "0 6 * * *"},
    ]
    records: list[Record] = []
    for part in range(6):
        records += [*outcomes(120, 120 * part), tick(5 * part)]
        records += [alert(f"alert-{part}"), alert(f"alert-{part}")]
    build = lambda: scheduler(*triggers)  # noqa: E731
    outs = check_stage(SERVICE, build, records, (1, 130, 400, 600))
    assert {"cost", "schedule"} <= {name for o in outs for name in o.value.trigger.split("+")}
