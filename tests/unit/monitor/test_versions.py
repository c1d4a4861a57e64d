"""Versions side by side, without a label: who gives no answer, who is far off by estimate."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from services.monitor import SERVICE
from services.monitor.core import Monitor
from services.monitor.episodes import Found
from services.monitor.versions import BLOCK, SILENT_EVENTS, Versions, VersionsMoment
from shared.messages.streams import OUTCOMES, PREDICTIONS
from shared.messages.types import Outcome, Prediction
from shared.problem.promotion import Estimated
from shared.problem.spec import Events, FieldSpec, LabelSpec, Problem, Promotion
from shared.stage import Record
from tests.kit.check_stage import check_stage

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def classes(p: float | None) -> dict[str, Any]:
    """The answer of a version that gives class 1 the chance `p`; None: its numbers are none."""
    if p is None:
        return {"prediction": None}
    return {"prediction": int(p > 0.5), "probabilities": {"0": 1 - p, "1": p}}


def said(answers: dict[str, dict[str, Any]], speaker: str, champion: str = "v1") -> Prediction:
    mine = answers[speaker]
    return Prediction(
        id="e", time=T0, model=speaker, features={}, feature_set="f",
        prediction=mine["prediction"], probabilities=mine.get("probabilities"),
        interval=mine.get("interval"), champion=None if speaker == champion else champion,
        shadow={v: a for v, a in answers.items() if v != speaker} or None)  # fmt: skip


def found(versions: Versions, *predictions: Prediction) -> list[Found]:
    return [one for prediction in predictions for one in versions.predicted(prediction, T0)]


def test_silence_where_others_speak_is_told_once() -> None:
    versions = Versions()
    silent = said({"v1": classes(0.8), "v2": classes(None)}, "v1")
    assert found(versions, *[silent] * (SILENT_EVENTS - 1)) == []
    (one,) = found(versions, *[silent] * 50)
    assert (one.kind, one.group, one.severity) == ("no_answer", "model v2", "page")
    assert one.evidence["model"] == "v2"


def test_a_silent_champion_is_seen_behind_its_stand_in() -> None:
    instead = said({"v1": classes(None), "v2": classes(0.8)}, "v2")
    (one,) = found(Versions(), *[instead] * SILENT_EVENTS)
    assert one.evidence["model"] == "v1"


def test_where_nobody_knows_anything_nobody_is_blamed() -> None:
    nobody = said({"v1": classes(None), "v2": classes(None)}, "v1")
    alone = said({"v1": classes(None)}, "v1")
    assert found(Versions(), *[nobody] * 50, *[alone] * 50) == []


def test_a_canary_that_says_the_opposite_is_found_in_one_block() -> None:
    answers = {"v1": classes(0.85), "v2": classes(0.2)}
    versions = Versions()
    run = [said(answers, "v2"), *[said(answers, "v1")] * (BLOCK - 1)]
    assert found(versions, *run[:-1]) == []
    (one,) = found(versions, run[-1])
    assert (one.kind, one.evidence["model"], one.evidence["against"]) == (
        "estimated_worse", "v2", "v1",
    )  # fmt: skip
    assert one.evidence["times_the_limit"] == pytest.approx(0.7 / 0.25)


def test_a_shadow_may_say_what_it_likes() -> None:
    answers = {"v1": classes(0.9), "v2": classes(0.1)}
    assert found(Versions(), *[said(answers, "v1")] * 500) == []


def test_a_new_champion_is_held_against_the_old_one() -> None:
    answers = {"v1": classes(0.9), "v2": classes(0.1)}
    run = [said(answers, "v1")] * 10 + [said(answers, "v2", champion="v2")] * BLOCK
    (one,) = found(Versions(), *run)
    assert (one.kind, one.evidence["model"], one.evidence["against"]) == (
        "estimated_worse", "v2", "v1",
    )  # fmt: skip


@pytest.mark.parametrize(("number", "kinds"), [(20.0, ["estimated_worse"]), (11.5, [])])
def test_numbers_are_measured_by_the_interval(number: float, kinds: list[str]) -> None:
    answers = {
        "v1": {"prediction": 10.0, "interval": (8.0, 12.0)},
        "v2": {"prediction": number, "interval": (number - 2, number + 2)},
    }
    run = [said(answers, "v2"), *[said(answers, "v2")] * (BLOCK - 1)]
    assert [one.kind for one in found(Versions(), *run)] == kinds


def test_the_state_goes_on_where_it_was() -> None:
    answers = {"v1": classes(0.85), "v2": classes(0.2), "v3": classes(None)}
    run = [said(answers, "v2")] * (BLOCK + 5)
    whole = [one.kind for one in found(Versions(), *run)]
    assert whole == ["no_answer", "estimated_worse"]
    for cut in (1, 7, 8, BLOCK - 1):
        first = Versions()
        kinds = [one.kind for one in found(first, *run[:cut])]
        state = msgspec.msgpack.encode(first.moment)
        second = Versions()
        second.moment = msgspec.msgpack.decode(state, type=VersionsMoment)
        kinds += [one.kind for one in found(second, *run[cut:])]
        assert kinds == whole, cut


# --- by estimate, with what labels said before ----------------------------------------------------


def trial(n: int, promoted_at: int, delay: int = 1_000, block: int = 250) -> list[Record]:
    """v2 beside v1, then champion: better on common inputs, worse on rare ones, which alone come from
    then on; labels `delay` events late. Both doubt their answers as they should.
    """
    r = np.random.default_rng(0)
    records: list[Record] = []
    told: list[Prediction] = []
    for i in range(n):
        rare = i >= promoted_at or r.random() < 0.05
        label = int(r.integers(2))
        answers = {}
        for version, p in {"v1": 0.85 if rare else 0.9, "v2": 0.6 if rare else 0.95}.items():
            right = r.random() < p
            answers[version] = classes(p if right == bool(label) else 1 - p)
        champion = "v2" if i >= promoted_at else "v1"
        one = said(answers, champion, champion)
        one.id, one.time = f"e{i}", T0 + timedelta(minutes=i)
        told.append(one)
        records.append(Record(PREDICTIONS, one, offset=i, seq=2 * i))
        if i >= delay:
            known = told[i - delay]
            fields = {f: getattr(known, f) for f in Prediction.__struct_fields__}
            outcome = Outcome(**fields, label=int(known.features["y"] or 0))
            records.append(Record(OUTCOMES, outcome, offset=i - delay, seq=2 * i + 1))
        one.features = {"y": float(label)}
    return records


def watching(**estimated: Any) -> Problem:
    return Problem(
        name="toy", goal="see what breaks", task="binary",
        events=Events(fields={"y": FieldSpec(type="number")}),
        label=LabelSpec(field="y", classes=[0, 1]),
        promotion=Promotion(estimated=Estimated(events=250, **estimated)),
    )  # fmt: skip


def test_a_new_champion_that_will_be_worse_is_paged_before_its_labels() -> None:
    """And in shadow, or with a tolerance of 40 points, nothing is said of it."""
    records = trial(4_600, promoted_at=4_000)
    made = lambda: Monitor(watching())  # noqa: E731
    outs = check_stage(SERVICE, made, records, (1, 2_001, 5_000, len(records) - 300))
    (alert,) = [o.value for o in outs if o.value.kind == "estimated_regression"]
    assert (alert.severity, alert.evidence["model"], alert.evidence["against"]) == (
        "page", "v2", "v1",
    )  # fmt: skip
    assert T0 + timedelta(minutes=4_000) < alert.time <= T0 + timedelta(minutes=4_250)
    assert alert.evidence["estimated_loss"] == pytest.approx(0.25, abs=0.1)
    assert "before labels came, the error rate of v2 on 250 events is estimated" in alert.text
    for quiet in (
        made().handle(records[:6_900]),
        Monitor(watching(tolerance=0.4)).handle(records),
    ):
        assert not [o for o in quiet if o.value.kind == "estimated_regression"]


def test_without_checked_blocks_nothing_is_said_by_estimate() -> None:
    quiet = Monitor(watching()).handle(trial(1_600, promoted_at=1_000, delay=900))
    assert not [o for o in quiet if o.value.kind == "estimated_regression"]
