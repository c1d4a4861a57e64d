"""The monitor over streams with planted breaks; the real break of the electricity example."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from services.monitor import SERVICE
from services.monitor.core import Monitor
from services.monitor.episodes import QUIET_EVENTS
from shared.messages.streams import CONTROL, OUTCOMES, PREDICTIONS, REJECTED
from shared.messages.types import Alert, Control, Outcome, Prediction, Rejected
from shared.problem.spec import Drift, Events, FieldSpec, LabelSpec, Problem
from shared.stage import Record
from tests.kit.check_stage import check_stage

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("a", "b", "c", "d")
Rows = Iterator[Record]


def problem(**drift: object) -> Problem:
    return Problem(
        name="toy",
        goal="see what breaks",
        task="binary",
        events=Events(fields={n: FieldSpec(type="number") for n in NAMES}),
        label=LabelSpec(field="y", classes=[0, 1]),
        drift=Drift(**{"reference": 1_000, "error_run_length": 100_000, **drift}),
    )


def prediction(i: int, features: dict, said: int = 0, model: str = "v1") -> Prediction:
    at = T0 + timedelta(minutes=i)
    return Prediction(id=f"e{i}", time=at, prediction=said, model=model, features=features,
                      feature_set="f")  # fmt: skip


def outcome(p: Prediction, label: int) -> Outcome:
    fields = {f: getattr(p, f) for f in Prediction.__struct_fields__}
    return Outcome(**fields, label=label, labelled_at=p.time + timedelta(minutes=1))


def stream(
    n: int, change: Callable[[int, dict], object] | None = None, wrong: float = 0.1,
    wrong_from: tuple[int, float] = (10**9, 0.0), seed: int = 0, no_label: range = range(0),
    model_from: int = 10**9,
) -> list[Record]:  # fmt: skip
    """n predictions, each with its label right after; `change` may alter the features."""
    r = np.random.default_rng(seed)
    x, u, said = r.normal(size=(n, 4)), r.random(n), r.integers(0, 2, n)
    out: list[Record] = []
    for i in range(n):
        features = dict(zip(NAMES, x[i].tolist(), strict=True))
        if change:
            change(i, features)
        p = prediction(i, features, int(said[i]), "v2" if i >= model_from else "v1")
        out.append(Record(PREDICTIONS, p, offset=i, seq=2 * i))
        if i not in no_label:
            rate = wrong_from[1] if i >= wrong_from[0] else wrong
            label = int(said[i]) ^ int(u[i] < rate)
            out.append(Record(OUTCOMES, outcome(p, label), offset=i, seq=2 * i + 1))
    return out


def control(command: str, i: int, **more: object) -> Record:
    return Record(CONTROL, Control(command=command, time=T0 + timedelta(minutes=i), **more))  # type: ignore[arg-type]


def run(records: list[Record], monitor: Monitor | None = None) -> list[Alert]:
    return [out.value for out in (monitor or Monitor(problem())).handle(records)]


def pages(alerts: list[Alert]) -> list[Alert]:
    return [a for a in alerts if a.severity == "page" and a.state == "open"]


def when(alert: Alert) -> int:
    return int((alert.time - T0).total_seconds() // 60)


def test_an_ordinary_stream_raises_nothing() -> None:
    """Seeded: four groups with a budget of 100,000 each may alarm in one of five such streams."""
    assert run(stream(6000)) == []


def frozen(i: int, f: dict) -> None:
    if i >= 2000:
        f["b"] = 0.5


def went_live(i: int, f: dict) -> None:
    if i < 2000:
        f["b"], f["d"] = 0.25, 7.0
    elif i < 2003:
        f["d"] = 7.0


def missing(i: int, f: dict) -> None:
    if i >= 2000 and i % 3 == 0:
        f["c"] = None


def fahrenheit(i: int, f: dict) -> None:
    if i >= 2000:
        f["a"] = f["a"] * 1.8 + 32


@pytest.mark.parametrize(
    ("change", "kind", "names", "most"),
    [
        (frozen, "frozen", ["b"], 20),
        (went_live, "went_live", ["b", "d"], 10),
        (missing, "missing", ["c"], 60),
    ],
)
def test_a_source_break_pages_once_and_names_its_fields(
    change: Callable, kind: str, names: list[str], most: int
) -> None:
    alerts = run(stream(2800, change))
    assert {a.series for a in alerts} == {"sources"}  # its values moving is no news of its own
    found = pages(alerts)
    assert len(found) == 1
    assert (found[0].kind, found[0].cause) == (kind, "source_break")
    assert [f.feature for f in found[0].features] == names
    assert 2000 <= when(found[0]) < 2000 + most
    assert abs((found[0].since - T0).total_seconds() / 60 - 2000) < most
    assert found[0].text
    assert found[0].runbook.endswith(kind.replace("_", "-"))


def test_a_unit_change_is_evidence_at_once_and_a_page_when_recognised() -> None:
    alerts = run(stream(2600, fahrenheit))
    assert [(a.kind, a.severity) for a in alerts] == [("inputs", "evidence"), ("unit", "page")]
    assert when(alerts[0]) < 2030
    assert [f.feature for f in alerts[0].features] == ["a"]
    assert "Fahrenheit" in alerts[1].text
    assert when(alerts[1]) < 2230


def test_features_that_move_are_evidence_only() -> None:
    alerts = run(stream(3500, lambda i, f: f.update(d=f["d"] + 0.8 * (i >= 2000))))
    assert {a.alert for a in alerts} == {"alert-0001"}
    assert {(a.severity, a.cause) for a in alerts} == {("evidence", "input_drift")}
    assert [f.feature for f in alerts[0].features] == ["d"]


def test_errors_without_moving_inputs_are_concept_drift() -> None:
    (page,) = pages(run(stream(3000, wrong_from=(2000, 0.4))))
    assert (page.kind, page.cause, page.severity) == ("errors", "concept_drift", "page")
    assert 2000 < when(page) < 2100
    assert abs((page.since - T0).total_seconds() / 60 - 2000) < 40
    assert page.evidence["loss_so_far"] < 0.15 < page.evidence["loss_recent"]


def test_errors_with_moving_inputs_name_them() -> None:
    found = run(
        stream(3000, lambda i, f: f.update(d=f["d"] + (i >= 2000)), wrong_from=(2000, 0.3))
    )
    page = pages(found)[-1]
    assert (page.kind, page.cause) == ("errors", "input_drift")
    assert [f.feature for f in page.features] == ["d"]


def test_labels_that_stop_page_and_resolve_when_they_come_back() -> None:
    alerts = run(stream(3000, no_label=range(2000, 2700)))
    assert [(a.cause, a.state) for a in alerts] == [
        ("label_delay", "open"),
        ("label_delay", "resolved"),
    ]
    assert [when(a) for a in alerts] == [2200, 2701]


def test_a_new_champion_starts_anew() -> None:
    """A worse level of errors is no alarm when another model makes them."""
    worse = {"wrong_from": (2000, 0.4), "n": 4000}
    assert pages(run(stream(**worse)))  # type: ignore[arg-type]
    assert not pages(run(stream(**worse, model_from=2000)))  # type: ignore[arg-type]


def test_a_mix_of_answers_that_changes_is_evidence() -> None:
    records = stream(3000)
    changed = [
        msgspec.structs.replace(r.value, prediction=1 if i > 2000 else r.value.prediction)
        for i, r in enumerate(r for r in records if r.stream is PREDICTIONS)
    ]
    alerts = run([Record(PREDICTIONS, value) for value in changed])
    assert [(a.kind, a.severity) for a in alerts] == [("predictions", "evidence")]


def test_many_rejects_warn() -> None:
    bad = Rejected(reason="no time", check="time", field="time", raw="", topic="toy.events",
                   partition=0, offset=0)  # fmt: skip
    other = msgspec.structs.replace(bad, topic="toy.labels")
    records = stream(1000)
    mixed = records + [
        r for i in range(1000, 1100) for r in (Record(REJECTED, bad), stream_one(i))
    ]
    (alert,) = run(mixed)
    assert (alert.cause, alert.severity) == ("data_quality", "warn")
    assert alert.features[0].feature == "time"
    assert not run(records + [Record(REJECTED, other)] * 100)


def stream_one(i: int) -> Record:
    values = np.random.default_rng(i).normal(size=4).tolist()
    return Record(PREDICTIONS, prediction(i, dict(zip(NAMES, values, strict=True)), i % 2))


def test_silence_pages_by_ticks_and_ends_with_the_next_event() -> None:
    monitor = Monitor(problem(silence=timedelta(minutes=30)))
    records = [*stream(100), control("tick", 120), control("tick", 140), control("tick", 160)]
    alerts = run([*records, stream_one(170)], monitor)
    assert [(a.cause, a.state) for a in alerts] == [("silence", "open"), ("silence", "resolved")]
    assert alerts[0].since == T0 + timedelta(minutes=99)


def test_the_life_of_an_alert() -> None:
    """Acknowledged by an operator, resolved by itself after quiet; never told twice."""
    records = stream(2000 + 2 * QUIET_EVENTS + 50, went_live)
    at = next(i for i, r in enumerate(records) if r.value.id == "e2200")
    records.insert(at, control("acknowledge", 2200, target="alert-0001"))
    found = [a for a in run(records) if a.alert == "alert-0001"]
    assert [a.state for a in found] == ["open", "acknowledged", "resolved"]
    assert when(found[-1]) >= 2000 + QUIET_EVENTS


def test_a_resolved_group_sleeps_and_a_second_break_joins_the_open_alert() -> None:
    def twice(i: int, f: dict) -> None:
        went_live(i, f)
        if i >= 2600:
            f["a"] = 1.0

    joined = pages(run(stream(2800, twice)))
    assert {a.alert for a in joined} == {"alert-0001"}
    assert {f.feature for f in joined[-1].features} == {"a", "b", "d"}
    records = stream(2800, twice)
    at = next(i for i, r in enumerate(records) if r.value.id == "e2200")
    records.insert(at, control("resolve", 2200, target="alert-0001"))
    assert [a.state for a in run(records) if a.series == "sources"] == ["open", "resolved"]


def test_what_is_pending_at_the_end_is_told() -> None:
    assert not run(stream(2002, went_live))
    assert len(run([*stream(2002, went_live), control("end", 2002)])) == 1


def everything(i: int, f: dict) -> None:
    went_live(i, f)
    if i >= 2100 and i % 2:
        f["c"] = None
    f["a"] += i >= 2000


def test_the_contract_of_a_stage() -> None:
    records = stream(2500, everything, wrong_from=(2000, 0.5), no_label=range(2250, 2490))
    at = next(i for i, r in enumerate(records) if r.value.id == "e2400")
    records.insert(at, control("acknowledge", 2400, target="alert-0001"))
    outs = check_stage(
        SERVICE, lambda: Monitor(problem()), records, (1, 900, 4003, 4009, 4300, 4700)
    )
    assert {out.value.cause for out in outs} >= {"source_break"}
    assert {out.value.series for out in outs} >= {"sources", "errors", "inputs", "labels"}


def test_a_checkpoint_holds_only_what_changed() -> None:
    monitor = Monitor(problem())
    records = stream(1100)
    run(records, monitor)
    assert dict(monitor.changes())
    assert list(monitor.changes()) == []
    run([stream_one(1100)], monitor)
    changed = dict(monitor.changes())
    assert "inputs/ranks/values" not in changed
    assert "state" in changed


@pytest.mark.parametrize("kind", ["went-live", "frozen", "missing", "unit", "errors", "inputs",
                                  "predictions", "labels-stopped", "rejected", "silence",
                                  "no-answer", "estimated-worse"])  # fmt: skip
def test_every_kind_of_alert_has_its_runbook(kind: str) -> None:
    assert f"\n## {kind}\n" in Path("docs/runbooks.md").read_text()


ELECTRICITY = Path("examples/electricity/electricity.parquet")
BREAK = 17_424


def test_the_break_of_the_electricity_example_is_one_page_within_100_events() -> None:
    table = pq.read_table(ELECTRICITY, columns=["nswprice", "nswdemand", "vicprice", "vicdemand",
                                                "transfer"])  # fmt: skip
    columns = {name: table[name].to_pylist() for name in table.column_names}
    base = problem(reference=2000)
    monitor = Monitor(base)
    alerts = []
    for i in range(BREAK + 600):
        p = prediction(i, {name: float(column[i]) for name, column in columns.items()})
        for alert in run([Record(PREDICTIONS, p)], monitor):
            alerts.append((i, alert))
    told = [(i, a) for i, a in alerts if a.series == "sources" and i >= BREAK]
    assert len(told) == 1
    at, page = told[0]
    assert at < BREAK + 100
    assert (page.cause, page.severity, page.state) == ("source_break", "page", "open")
    assert {f.feature for f in page.features} == {"vicprice", "vicdemand", "transfer"}
    before = [a for i, a in alerts if a.series == "sources" and a.state == "open" and i < BREAK]
    assert [(a.kind, a.features[0].feature) for a in before] == [("frozen", "nswprice")]
    # that one is real: the price is the same for 42 half-hours, the longest run there was by far
