"""The board against plain recomputation from the same records."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, log_loss, mean_absolute_error, r2_score

from services.console.audits import audit_card
from services.console.core import Board
from services.console.ledger import LAST_REJECTED
from services.console.measures import Measures
from services.console.snapshot import view_of
from services.console.view import honesty
from shared.evaluation.metrics import ClassMetrics
from shared.messages.codec import encode
from shared.messages.streams import AUDITS, MODELS, OUTCOMES, PREDICTIONS, REJECTED, Stream
from shared.messages.types import ModelEvent, Outcome, Prediction
from shared.stage import Record
from tests.kit.baselines import Baselines
from tests.kit.recorded import believing
from tests.unit.console.synthetic import START, STEP, Story, problem


def folded(records: list[Record], size: int = 500, **changes: Any) -> Board:
    board = Board(problem(**changes), believing)
    for at in range(0, len(records), size):
        assert list(board.handle(records[at : at + size])) == []
    return board


def seen(board: Board) -> bytes:
    """All that can be seen of a board, as bytes."""
    return msgspec.json.encode(view_of(board))


def values(records: list[Record], stream: Stream) -> list[Any]:
    return [record.value for record in records if record.stream is stream]


@pytest.fixture(scope="module", params=[1, 45], ids=["labels at once", "labels late"])
def records(request: pytest.FixtureRequest) -> list[Record]:
    return list(Story(1_500, delay=request.param).records())


def test_any_split_gives_the_same_board(records: list[Record]) -> None:
    expected = seen(folded(records))
    assert seen(folded(records, size=1)) == expected
    assert seen(folded(records, size=7)) == expected


def test_a_restored_board_goes_on_exactly(records: list[Record]) -> None:
    expected = folded(records)
    for cut in (1, 130, 1_402, 2_500, len(records)):
        entries: dict[str, bytes] = {}
        first = Board(problem(), believing)
        for part in (records[: cut // 2], records[cut // 2 : cut]):
            first.handle(part)
            for key, value in first.changes():
                if value is None:
                    entries.pop(key, None)
                else:
                    entries[key] = value
        second = Board(problem(), believing)
        second.restore(entries)
        assert seen(second) == seen(first)
        second.handle(records[cut:])
        assert seen(second) == seen(expected)


def test_figures_are_those_of_a_plain_recount(records: list[Record]) -> None:
    outcomes = values(records, OUTCOMES)
    truth = [outcome.label for outcome in outcomes]
    said = [outcome.prediction for outcome in outcomes]
    chances = [outcome.probabilities["1"] for outcome in outcomes]
    summary = folded(records).summary()
    assert summary["outcomes"] == len(outcomes)
    assert summary["predictions"] == len(values(records, PREDICTIONS))
    assert summary["rejected"] == len(values(records, REJECTED))
    assert summary["events"] == summary["predictions"] + summary["rejected"]
    metrics = summary["metrics"]
    assert metrics["accuracy"] == pytest.approx(np.mean(np.array(truth) == said))
    assert metrics["kappa"] == pytest.approx(cohen_kappa_score(truth, said))
    assert metrics["log_loss"] == pytest.approx(log_loss(truth, chances))
    right = np.array(truth) == 1
    assert metrics["brier"] == pytest.approx(np.mean(2 * (np.array(chances) - right) ** 2))
    recount = ClassMetrics(2)
    for label, answer, p in zip(truth, said, chances, strict=True):
        recount.update(int(label), int(answer), [1 - p, p])
    assert metrics["ece"] == pytest.approx(recount.figures()["ece"])


def test_baselines_are_those_of_evaluation(records: list[Record]) -> None:
    names = tuple(problem().events.fields)
    oracle = Baselines("binary", names, ["0", "1"], ["as_yesterday"])
    for record in records:
        if record.stream is PREDICTIONS:
            rule = str(int(record.value.features["nswprice"] > 0))
            oracle.predict(record.value.id, record.value.features, {"as_yesterday": rule})
        elif record.stream is OUTCOMES:
            oracle.learn(record.value.id, str(record.value.label))
    found = folded(records).summary()["baselines"]
    for name, figures in oracle.figures().items():
        for figure in ("accuracy", "kappa", "log_loss"):
            assert found[name][figure] == pytest.approx(figures[figure]), (name, figure)


def test_the_digest_chains_predictions_without_the_clock(records: list[Record]) -> None:
    expected = bytes(32)
    stamped = []
    for record in records:
        value = record.value
        if record.stream is PREDICTIONS:
            expected = sha256(expected + encode(value)).digest()
            value = msgspec.structs.replace(value, scored_at=datetime(2026, 1, 1, tzinfo=UTC))
        stamped.append(Record(record.stream, value, seq=record.seq, offset=record.offset))
    assert folded(stamped).digest == folded(records).digest == expected.hex()
    other = [r for r in records if not (r.stream is PREDICTIONS and r.value.id == "e700")]
    assert folded(other).digest != expected.hex()


def test_the_summary_is_json_and_tells_the_story(records: list[Record]) -> None:
    summary = json.loads(json.dumps(folded(records).summary()))
    assert {"events", "rejected", "predictions", "outcomes", "metrics", "baselines", "alerts",
            "jobs", "swaps", "digest"} <= set(summary)  # fmt: skip
    page = next(alert for alert in summary["alerts"] if alert["severity"] == "page")
    assert page["state"] == "resolved" and page["cause"] == "source_break"
    assert [step["state"] for step in page["history"]] == ["open", "resolved"]
    assert page["features"][0]["feature"] == "vicprice"
    states = {job["job"]: job["state"] for job in summary["jobs"]}
    assert states == {"job-0001": "accepted", "job-0002": "rejected", "job-0003": "requested"}
    assert all(job["reason"] for job in summary["jobs"])
    (swap,) = summary["swaps"]
    assert (swap["before"], swap["after"]) == ("v1", "v2") and swap["reason"]
    assert summary["champion"] == "v2"


def test_only_first_labels_count() -> None:
    records = list(Story(200).records())
    board = folded(records)
    before = board.summary()["metrics"]
    first = values(records, OUTCOMES)[0]
    changed = msgspec.structs.replace(
        first, label=1 - first.label, revision=1, replaced=first.label
    )
    gone = msgspec.structs.replace(first, label=None, revision=2, replaced=changed.label)
    restated = board.summary()["restated"]
    assert restated["accuracy"] == pytest.approx(before["accuracy"])
    assert restated["log_loss"] == pytest.approx(before["log_loss"])
    assert view_of(board).restated == ""
    board.handle([Record(OUTCOMES, changed)])
    turned = board.summary()["restated"]["accuracy"] - before["accuracy"]
    assert abs(turned) == pytest.approx(1 / board.counts.outcomes)
    board.handle([Record(OUTCOMES, gone)])
    assert board.summary()["metrics"] == before
    assert board.counts.corrections == 2
    assert board.summary()["restated"]["labels"] == board.counts.outcomes - 1
    assert "2 corrections" in view_of(board).restated


def test_an_answer_before_any_class_is_known_is_wrong() -> None:
    board = Board(problem(task="multiclass", label={"field": "kind"}, evaluation={}), believing)
    names = ("nswprice", "nswdemand", "vicprice")
    kinds = ["red", "green", "blue", "red", "red"]
    for i, kind in enumerate(kinds):
        prediction = Prediction(
            id=str(i), time=START + STEP * i, prediction=None if i == 0 else kinds[i - 1],
            model="v1", features=dict.fromkeys(names, 0.5 * i), feature_set="f",
        )  # fmt: skip
        board.handle([Record(PREDICTIONS, prediction)])
        board.handle([Record(OUTCOMES, _labelled(prediction, kind))])
    summary = board.summary()
    assert summary["metrics"]["accuracy"] == pytest.approx(1 / 5)
    # the first event had no class to say: 4 answers, of which the last repeats the newest label
    assert summary["baselines"]["no_change"]["accuracy"] == pytest.approx(1 / 4)
    seen(board)


def test_regression_figures() -> None:
    changes: dict[str, Any] = {
        "task": "regression",
        "label": {"field": "load"},
        "evaluation": {"rules": [{"name": "double", "expression": "2 * nswprice"}]},
    }
    board = Board(problem(**changes), believing)
    rng = np.random.default_rng(3)
    truth, said = rng.normal(50, 5, 400), rng.normal(50, 5, 400)
    oracle = Baselines("regression", ("nswprice", "nswdemand", "vicprice"), rules=["double"])
    for i, (label, answer) in enumerate(zip(truth.tolist(), said.tolist(), strict=True)):
        features: dict[str, float | None] = {
            "nswprice": label / 2, "nswdemand": None if i % 7 == 0 else i, "vicprice": 1.0,
        }  # fmt: skip
        prediction = Prediction(
            id=str(i), time=START + STEP * i, prediction=answer, model="v1", features=features,
            feature_set="f", interval=None if i < 30 else (answer - 9, answer + 9),
        )  # fmt: skip
        oracle.predict(str(i), features, {"double": label})
        oracle.learn(str(i), label)
        board.handle(
            [Record(PREDICTIONS, prediction), Record(OUTCOMES, _labelled(prediction, label))]
        )
    summary = board.summary()
    assert summary["metrics"]["mae"] == pytest.approx(mean_absolute_error(truth, said))
    assert summary["metrics"]["r2"] == pytest.approx(r2_score(truth, said))
    held = np.abs(truth - said)[30:] <= 9
    assert summary["metrics"]["coverage"] == pytest.approx(held.mean())
    assert summary["metrics"]["width"] == pytest.approx(18)
    assert f"{100 * held.mean():.1f} % of the labels" in honesty(view_of(board).scores[0])
    for name, figures in oracle.figures().items():
        assert summary["baselines"][name] == pytest.approx(figures), name
    entries = {key: value for key, value in board.changes() if value is not None}
    other = Board(problem(**changes), believing)
    other.restore(entries)
    assert seen(other) == seen(board)


def test_only_a_change_of_champion_is_a_swap() -> None:
    board = Board(problem(), believing)
    steps = [("v1", "champion"), ("v2", "shadow"), ("v2", "snapshot"), ("v2", "champion"),
             ("v1", "champion"), ("v2", "rejected"), ("v9", "retired")]  # fmt: skip
    for i, (model, state) in enumerate(steps):
        event = ModelEvent(model=model, state=state, time=START, outcomes=i)  # type: ignore[arg-type]
        board.handle([Record(MODELS, event)])
    assert [(s["before"], s["after"]) for s in board.summary()["swaps"]] == [
        ("v1", "v2"),
        ("v2", "v1"),
    ]
    assert board.counts.ignored == 1  # v9 never lived
    assert board.live.champion == "v1"


def test_a_checkpoint_costs_what_changed() -> None:
    records = list(Story(4_000).records())
    board = folded(records[:-200])
    whole = sum(len(value or b"") for _, value in board.changes())
    assert list(board.changes()) == []
    board.handle(records[-200:-190])
    part = sum(len(value or b"") for _, value in board.changes())
    assert part < 14_000 < whole


def test_memory_is_bounded() -> None:
    board = Board(problem(), believing)
    story = Story(200)
    bad = [story._bad(i) for i in range(500)]
    board.handle(bad)
    assert len(board.ledger.last) == LAST_REJECTED and board.counts.rejected == 500
    for i in range(12_000):
        event = ModelEvent(model=f"v{i}", state="snapshot", time=START)
        board.handle([Record(MODELS, event)])
    assert sum(len(value or b"") for _, value in board.changes()) < 200_000


def _labelled(prediction: Prediction, label: Any) -> Outcome:
    known = {name: getattr(prediction, name) for name in Prediction.__struct_fields__}
    return Outcome(**known, label=label, labelled_at=prediction.time + STEP)


def test_the_audit_is_summed_and_shown() -> None:
    records = list(Story(1_500).records())
    board = folded(records)
    found = board.summary()["audit"]
    windows = [r.value for r in records if r.stream is AUDITS]
    assert found["windows"] == len(windows) == 7 and found["compared"] == 7 * 48
    assert found["features"]["vicprice"] | {"until": 0, "example": 0} == {
        "mismatch": 12, "missing": 3, "extra": 1, "until": 0, "example": 0,
    }  # fmt: skip
    card = audit_card(board.audits, board.problem)
    assert card.tone == "bad" and card.text.startswith("1 feature of 3 differed")
    assert [row.feature for row in card.rows] == ["vicprice"]
    half = folded(records[: len(records) // 3])
    assert audit_card(half.audits, half.problem).tone == "good"
    assert audit_card(Board(problem(), believing).audits, problem()).tone == ""
    measured = {
        (sample.labels.get("feature"), sample.labels.get("kind")): sample.value
        for family in Measures(problem(), lambda: view_of(board)).collect()
        for sample in family.samples
        if sample.name == "headrace_audit_differences_total"
    }
    assert measured["vicprice", "missing"] == 3 and measured["nswprice", "mismatch"] == 0
