"""Several labellers: in whatever order and however often, the ledger and its metrics end the same."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.console.restated import Restated
from services.joiner import SERVICE
from services.joiner.core import Joiner
from shared.messages.streams import CONTROL, LABELS, OUTCOMES, PREDICTIONS, REJECTED
from shared.messages.types import Control, Outcome, Prediction
from shared.problem.spec import Problem
from shared.stage import Out, Record
from tests.kit.check_stage import check_stage

START = datetime(2024, 1, 1, tzinfo=UTC)
RULES = ["newest", "priority", "majority", "median"]
SOURCES = ["expert", "crowd", "sensor", None]


def problem(rule: str, **label: Any) -> Problem:
    numbers = rule == "median"
    spec = {"field": "y", "conflict": rule, "labellers": ["expert", "sensor"], **label}
    spec |= {} if numbers else {"classes": ["a", "b", "c"]}
    return Problem.model_validate(
        {"name": "p", "goal": "g", "task": "regression" if numbers else "multiclass",
         "events": {"fields": {"x": {"type": "number"}}}, "label": spec}
    )  # fmt: skip


def said(name: str, rule: str) -> Record:
    number = rule == "median"
    value = Prediction(
        id=name, time=START, prediction=1.5 if number else "a", model="v1", features={"x": 1.0},
        feature_set="f", probabilities=None if number else {"a": 0.7, "b": 0.2, "c": 0.1},
    )  # fmt: skip
    return Record(PREDICTIONS, value)


def label(name: str, minute: int, value: Any, source: str | None) -> Record:
    """`value` None: revoked. The minute is the label's own, or that of its arrival."""
    at = START + timedelta(minutes=minute)
    body: dict[str, Any] = {"id": name}
    body |= {"revoked": True} if value is None else {"label": value}
    body |= {"source": source} if source else {}
    body |= {"time": at.isoformat()} if minute % 2 else {}
    return Record(
        LABELS, json.dumps(body).encode(), offset=minute, timestamp_ms=int(at.timestamp() * 1000)
    )


def arrivals(seed: int, rule: str, size: int) -> list[Record]:
    """Predictions and statements about four events, by four labellers, a third of them revocations."""
    draw = np.random.default_rng(seed)
    values = [1.0, 2.5, -3.0, 1e6 + 0.1] if rule == "median" else ["a", "b", "c"]
    records = [said(f"e{n}", rule) for n in range(4)]
    for minute in range(1, size + 1):
        value = None if draw.random() < 0.3 else values[draw.integers(len(values))]
        name, source = f"e{draw.integers(4)}", SOURCES[draw.integers(4)]
        records.append(label(name, minute, value, source))
    return records


def end_of(records: list[Record], rule: str) -> tuple[dict[str, Any], dict[str, float]]:
    """The ledger, and the metrics restated by it."""
    restated, ledger, revisions = Restated(), dict[str, Any](), Counter[str]()
    for out in Joiner(problem(rule)).handle(records):
        if out.stream is OUTCOMES:
            outcome: Outcome = out.value
            assert outcome.revision == revisions[outcome.id]
            assert outcome.replaced == ledger.get(outcome.id)
            revisions[outcome.id] += 1
            ledger[outcome.id] = outcome.label
            restated.take(outcome, rule == "median")
    standing = {name: value for name, value in ledger.items() if value is not None}
    return standing, restated.figures(rule == "median") | {"n": restated.n}


def oracle(records: list[Record], rule: str) -> dict[str, Any]:
    """By the words of the documentation, from everything at once."""
    ledger: dict[str, Any] = {}
    for name in {r.value.id for r in records if r.stream is PREDICTIONS}:
        newest: dict[str, tuple[int, Any]] = {}
        for record in records:
            if record.stream is LABELS and json.loads(record.value)["id"] == name:
                body = json.loads(record.value)
                source = body.get("source", "")
                if source not in newest or record.offset > newest[source][0]:
                    newest[source] = record.offset, body.get("label")
        live = {who: found for who, found in newest.items() if found[1] is not None}
        if not live:
            continue
        trust = {"expert": 0, "sensor": 1}
        if rule == "newest":
            ledger[name] = max(live.values())[1]
        elif rule == "median":
            numbers = sorted(value for _, value in live.values())
            ledger[name] = numbers[(len(numbers) - 1) // 2]
        else:
            votes = Counter(value for _, value in live.values())
            most = max(votes.values()) if rule == "majority" else 0
            able = {w: f for w, f in live.items() if votes[f[1]] >= most}
            best = min(trust.get(who, 2) for who in able)
            ledger[name] = max(f for w, f in able.items() if trust.get(w, 2) == best)[1]
    return ledger


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(0, 25), data=st.data())
def test_any_order_and_any_repetition_end_the_same(
    rule: str, seed: int, size: int, data: st.DataObject
) -> None:
    records = arrivals(seed, rule, size)
    ledger, metrics = end_of(records, rule)
    assert ledger == oracle(records, rule)
    labels = [record for record in records if record.stream is LABELS]
    again = data.draw(st.lists(st.sampled_from(labels), max_size=25)) if labels else []
    mixed = data.draw(st.permutations([*records, *again]))
    assert end_of(mixed, rule) == (ledger, metrics)


@pytest.mark.parametrize("rule", RULES)
def test_restated_is_what_a_fresh_count_gives(rule: str) -> None:
    ledger, metrics = end_of(arrivals(11, rule, 40), rule)
    assert metrics["n"] == len(ledger) > 1
    if rule == "median":
        errors = np.abs(np.array([*ledger.values()]) - 1.5)
        assert metrics["mae"] == pytest.approx(errors.mean())
        assert metrics["rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
    else:
        assert metrics["accuracy"] == np.mean([value == "a" for value in ledger.values()])
        chances = {"a": 0.7, "b": 0.2, "c": 0.1}
        losses = [-np.log(chances[value]) for value in ledger.values()]
        assert metrics["log_loss"] == pytest.approx(np.mean(losses))


def checks(outs: list[Out]) -> list[str]:
    return [out.value.check for out in outs if out.stream is REJECTED]


def test_what_adds_nothing_is_rejected_and_says_why() -> None:
    joiner = Joiner(problem("majority"))
    vote = label("e0", 5, "a", "crowd")
    old = label("e0", 3, "b", "crowd")
    outs = list(joiner.handle([said("e0", "majority"), vote, vote, old]))
    assert checks(outs) == ["label_twice", "label_twice"] and "by crowd" in outs[-1].value.reason
    many = [label("e0", 2 * n + 7, "b", f"w{n}") for n in range(70)]
    assert checks(list(joiner.handle(many))) == ["label_sources"] * 7


def test_a_vote_that_agrees_changes_nothing_and_one_that_turns_it_does() -> None:
    joiner = Joiner(problem("majority"))
    votes = [
        label("e0", 1, "a", "expert"),
        label("e0", 3, "b", "crowd"),
        label("e0", 5, "b", None),
    ]
    outs = list(joiner.handle([said("e0", "majority"), *votes]))
    found = [(o.value.label, o.value.revision, o.value.replaced) for o in outs]
    assert found == [("a", 0, None), ("b", 1, "a")]


def test_a_default_gives_way_to_what_somebody_says() -> None:
    joiner = Joiner(problem("priority", wait="1h", default="c"))
    tick = Record(CONTROL, Control(command="tick", time=START + timedelta(hours=2)))
    outs = list(joiner.handle([said("e0", "priority"), tick, label("e0", 1, "b", "crowd")]))
    found = [(o.value.label, o.value.default, o.value.replaced) for o in outs]
    assert found == [("c", True, None), ("b", False, "c")]


def test_early_labels_whose_event_never_comes_are_all_rejected() -> None:
    joiner = Joiner(problem("newest"))
    end = Record(CONTROL, Control(command="end", time=START))
    early = [label("ghost", 1, "a", "crowd"), label("ghost", 3, None, "expert")]
    assert checks(list(joiner.handle([*early, end]))) == ["label_unknown_id"] * 2


@pytest.mark.parametrize("rule", RULES)
def test_it_is_a_stage(rule: str) -> None:
    records = arrivals(3, rule, 60)
    mixed = [records[n] for n in np.random.default_rng(1).permutation(len(records)).tolist()]
    check_stage(SERVICE, lambda: Joiner(problem(rule)), mixed, [1, 20, 40, len(mixed) - 1])
