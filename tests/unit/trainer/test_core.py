from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from services.scheduler.core import Scheduler
from services.trainer import SERVICE
from services.trainer.core import Trainer, version_of
from services.trainer.shell import InlineTraining
from shared.messages.streams import CONTROL, JOBS, MODELS, OUTCOMES
from shared.messages.types import Control, Job, Outcome
from shared.registry.artefact import Expected, verified
from shared.registry.decisions import signed_by
from shared.registry.lifecycle import JOBS as JOB_LIFE
from shared.registry.lifecycle import START
from shared.registry.signing import Signer, Verifier, generate_key
from shared.stage import Out, Record, Tools
from tests.kit.check_stage import check_stage
from tests.unit.trainer import world


class Blobs(dict[str, bytes]):
    def put(self, data: bytes) -> str:
        from hashlib import sha256

        digest = sha256(data).hexdigest()
        self[digest] = data
        return digest

    def get(self, digest: str) -> bytes:
        return self[digest]


class Canned:
    """Training whose results are given; it remembers who asked."""

    def __init__(self, **results: dict[str, Any]) -> None:
        self.results = results
        self.asked: list[str] = []

    def result(self, job: Job) -> Mapping[str, Any]:
        self.asked.append(job.job)
        return self.results.get(job.job, {"state": "failed", "reason": "no luck", "board": {}})


SIGNER = Signer(generate_key())


def _tools(training: Any, blobs: Blobs | None = None) -> Tools:
    blobs = Blobs() if blobs is None else blobs
    verifier = Verifier([SIGNER.public])
    return Tools(
        blobs=blobs,
        training=training,
        verified=lambda d, m, v: verified(blobs.get(d), m, verifier, Expected("signs", v)),
        signed=SIGNER.sign,
        trusted=lambda record: signed_by(record, verifier),
    )


def _outcome(n: int) -> Record:
    row = Outcome(
        id=f"e{n}", time=world.T0 + n * world.EVERY, prediction=1, model="v1", features={},
        feature_set="fs", label=1, labelled_at=world.T0 + (n + 1) * world.EVERY,
    )  # fmt: skip
    return Record(OUTCOMES, row, offset=n, seq=n)


def _jobs(n: int, *jobs: Job) -> list[Record]:
    return [Record(JOBS, job, job.job, offset=i, seq=n) for i, job in enumerate(jobs)]


def _control(seq: int, command: Any, **fields: Any) -> Record:
    return Record(CONTROL, Control(command=command, time=world.T0, **fields), seq=seq)


def _states(outs: list[Out]) -> list[tuple[str, str, int]]:
    return [(o.value.job, o.value.state, o.cause.seq) for o in outs if o.stream is JOBS]


def test_a_result_takes_effect_exactly_at_its_place() -> None:
    records = [_outcome(n) for n in range(40)]
    records[20:20] = _jobs(19, world.job(20, effective=25), world.job(20, 2, effective=30))
    outs = check_stage(
        SERVICE,
        lambda: Trainer(world.problem(), _tools(Canned())),
        records,
        (0, 5, 21, 24, 28, 42),
    )
    assert _states(outs) == [
        ("job-0001", "running", 19), ("job-0002", "running", 19),
        ("job-0001", "failed", 24), ("job-0002", "failed", 29),
    ]  # fmt: skip
    assert outs[2].value.reason == "no luck"


def test_a_place_in_the_past_is_now() -> None:
    records = [*(_outcome(n) for n in range(3)), *_jobs(2, world.job(3, effective=3))]
    stage = Trainer(world.problem(), _tools(Canned()))
    assert [state for _, state, _ in _states(list(stage.handle(records)))] == ["running", "failed"]


def test_live_results_take_effect_where_the_record_says() -> None:
    records = [_control(0, "start", details={"mode": "live"})]
    records += _jobs(1, world.job(2, effective=2)) + [_outcome(n) for n in range(2, 9)]
    records += [_control(9, "trained", target="job-0001"), _control(10, "trained", target="other")]
    outs = check_stage(
        SERVICE, lambda: Trainer(world.problem(), _tools(Canned())), records, (1, 2, 9)
    )
    assert _states(outs) == [("job-0001", "running", 1), ("job-0001", "failed", 9)]


def test_the_end_waits_for_nobody_and_a_cancelled_job_is_forgotten() -> None:
    training = Canned()
    stage = Trainer(world.problem(), _tools(training))
    cancelled = world.replaced(world.job(3, 2, effective=5), state="cancelled")  # type: ignore[arg-type]
    records = [*_jobs(0, world.job(3, effective=50), world.job(3, 2, effective=5), cancelled)]
    records += [_outcome(n) for n in range(10)] + [_control(11, "end")]
    assert [state for _, state, _ in _states(list(stage.handle(records)))] == ["running"] * 2
    assert training.asked == []


def test_an_accepted_job_makes_a_signed_shadow() -> None:
    rows = world.outcomes(700)
    spec = world.problem(retraining={"candidates": ["boosting"], "keep_estimator": True})
    training = InlineTraining(lambda start, end: world.raw(rows[start:end]), spec, world.NAMES)
    blobs = Blobs()
    tools = _tools(training, blobs)
    records = [Record(OUTCOMES, row, offset=n, seq=n) for n, row in enumerate(rows)]
    records[600:600] = _jobs(599, world.job(600, effective=650))
    outs = check_stage(SERVICE, lambda: Trainer(spec, tools), records, (601, 660))
    assert _states(outs) == [
        ("job-0001", "running", 599), ("job-0001", "trained", 649), ("job-0001", "accepted", 649),
    ]  # fmt: skip
    (shadow,) = [o.value for o in outs if o.stream is MODELS]
    assert (shadow.model, shadow.state, shadow.parent, shadow.outcomes) == (
        "v2",
        "shadow",
        "v1",
        650,
    )
    assert shadow.time == rows[649].labelled_at
    assert tools.verified(shadow.blob, shadow.manifest, "v2") == blobs[shadow.blob]
    assert shadow.manifest["estimator"]["digest"] in blobs
    life = START
    for _, state, _ in [("", "requested", 0), *_states(outs)]:
        assert JOB_LIFE.allows(life, state)
        life = state


def test_the_looks_at_the_rows_held_back_are_counted() -> None:
    """Two jobs whose hold-back parts overlap, and one apart; counted over a restart too."""

    def result(first: int, last: int) -> dict[str, Any]:
        held = {"held_first": _day(first), "held_last": _day(last)}
        return {"state": "rejected", "reason": "", "summary": "", "board": {"rows": held}}

    training = Canned(
        **{"job-0001": result(1, 5), "job-0002": result(5, 9), "job-0003": result(10, 12)}
    )
    records = [_outcome(n) for n in range(40)]
    for number, place in ((1, 5), (2, 15), (3, 25)):
        records[place + 1 : place + 1] = _jobs(
            place, world.job(place, number, effective=place + 3)
        )
    outs = check_stage(
        SERVICE, lambda: Trainer(world.problem(), _tools(training)), records, (12, 22)
    )
    done = [o.value for o in outs if o.stream is JOBS and o.value.state == "rejected"]
    assert [job.evidence["rows"]["looks"] for job in done] == [1, 2, 1]


def _day(number: int) -> str:
    return (world.T0 + timedelta(days=number)).isoformat()


def test_a_job_is_called_off_by_command_and_its_result_is_never_used() -> None:
    training = Canned()
    records = [*_jobs(0, world.job(3, effective=6)), *(_outcome(n) for n in range(4))]
    records.append(_control(5, "cancel", target="job-0001", by="ann", reason="wrong data"))
    records += [_control(6, "cancel", target="job-0001"), *(_outcome(n) for n in range(4, 12))]
    outs = check_stage(
        SERVICE, lambda: Trainer(world.problem(), _tools(training)), records, (3, 6)
    )
    assert _states(outs) == [("job-0001", "running", 0), ("job-0001", "cancelled", 5)]
    assert outs[-1].value.reason == "cancelled by ann: wrong data"
    assert training.asked == []


def test_two_schedulers_give_one_job() -> None:
    def requests() -> list[Job]:
        scheduler = Scheduler(world.problem(retraining=spec))
        outs = [out for n in range(240) for out in scheduler.handle([_outcome(n)])]
        return [out.value for out in outs]

    spec = {"triggers": [{"on": "volume", "outcomes": 60}], "minimum": 50, "cooldown": 10,
            "effect_after": 5}  # fmt: skip
    first, second = requests(), requests()
    assert len(first) > 1 and first == second, "the same outcomes, the same names"
    both = [job for pair in zip(first, second, strict=True) for job in pair]
    late = [*both, *second]  # and one scheduler that comes up much later
    records = [*(_outcome(n) for n in range(250)), *_jobs(249, *late)]
    stage = Trainer(world.problem(retraining=spec), _tools(Canned()))
    states = _states(list(stage.handle(records)))
    assert [job for job, state, _ in states if state == "running"] == [job.job for job in first]
    assert [job for job, state, _ in states if state == "failed"] == [job.job for job in first]


@pytest.mark.parametrize(
    ("name", "version"), [("job-0001", "v2"), ("job-0041", "v42"), ("odd", "v2")]
)
def test_versions_follow_jobs(name: str, version: str) -> None:
    job = world.replaced(world.job(3), job=name)  # type: ignore[arg-type]
    assert version_of(job) == version


def test_labels_without_arrival_time_use_the_event_time() -> None:
    record = _outcome(0)
    record.value.labelled_at = None
    stage = Trainer(world.problem(), _tools(Canned()))
    outs = list(stage.handle([*_jobs(0, world.job(1, effective=1)), record]))
    assert outs[-1].value.time == world.T0
    assert outs[-1].value.time != world.T0 + timedelta(minutes=1)
