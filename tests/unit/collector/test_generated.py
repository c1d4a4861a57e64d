"""Generators: the same seed the same bytes, and every declared change where it is declared."""

import json
from itertools import islice
from typing import Any

import numpy as np
import pytest

from services.collector.sources.generated_rows import BLOCK_ROWS, planes, stretches
from services.collector.sources.table import rows_of
from shared.errors import UsageError
from shared.problem.generated import Generate
from shared.problem.load import load_problem, parse_problem
from shared.problem.spec import Problem
from tests.kit.runs import ROOT

EXAMPLE = ROOT / "examples" / "drifting" / "problem.yaml"


def problem_of(task: str = "binary", classes: Any = (0, 1), **generate: Any) -> Problem:
    label = {"field": "y"} | ({"classes": list(classes)} if classes else {})
    return Problem.model_validate(
        {
            "name": "made-up",
            "goal": "a test",
            "task": task,
            "source": {"generate": {"rows": 3_000, "noise": 0.0} | generate},
            "events": {"id": "id", "time": "at", "fields": {"x0": {"type": "number"}}},
            "label": label,
        }
    )


def made(problem: Problem) -> tuple[list[dict[str, Any]], list[Any]]:
    rows = list(rows_of(None, problem))
    return [json.loads(row.event) for row in rows], [row.label for row in rows]


def oracle(problem: Problem, events: list[dict[str, Any]], concept: int) -> list[int]:
    """Row by row: on which side of the plane of `concept` each event lies."""
    assert problem.source is not None and problem.source.generate is not None
    generate = problem.source.generate
    plane = planes(generate, stretches(generate), 1)[concept, 0]
    heights = [sum((e[f"x{j}"] - 0.5) * w for j, w in enumerate(plane)) for e in events]
    return [int(height > 0) for height in heights]


def agreement(a: list[Any], b: list[Any]) -> float:
    return float(np.mean([x == y for x, y in zip(a, b, strict=True)]))


def test_the_same_seed_gives_the_same_bytes_and_more_rows_only_add() -> None:
    first = list(rows_of(None, problem_of()))
    assert first == list(rows_of(None, problem_of()))
    longer = rows_of(None, problem_of(rows=4_000))
    assert first == list(islice(longer, 3_000))
    assert first != list(rows_of(None, problem_of(seed=2)))
    assert len({row.event for row in first}) == 3_000 > 2 * BLOCK_ROWS


def test_an_abrupt_change_and_the_way_back() -> None:
    problem = problem_of(
        changes=[{"kind": "abrupt", "at": 1_100}, {"kind": "recurring", "at": 2_050}]
    )
    events, labels = made(problem)
    first, second = oracle(problem, events, 0), oracle(problem, events, 1)
    assert labels == first[:1_100] + second[1_100:2_050] + first[2_050:]
    assert agreement(first, second) == pytest.approx(0.5, abs=0.05)


def test_a_gradual_change_goes_over_evenly() -> None:
    problem = problem_of(changes=[{"kind": "gradual", "at": 1_000, "over": 1_000}])
    events, labels = made(problem)
    first, second = oracle(problem, events, 0), oracle(problem, events, 1)
    assert labels[:1_000] == first[:1_000] and labels[2_000:] == second[2_000:]
    early = agreement(labels[1_000:1_250], second[1_000:1_250])
    late = agreement(labels[1_750:2_000], second[1_750:2_000])
    assert early == pytest.approx(0.56, abs=0.1) and late == pytest.approx(0.94, abs=0.06)


def test_label_noise_while_it_lasts() -> None:
    noise = {"kind": "label_noise", "at": 1_000, "share": 0.4, "until": 2_000}
    problem = problem_of(changes=[noise])
    events, labels = made(problem)
    truth = oracle(problem, events, 0)
    assert labels[:1_000] == truth[:1_000] and labels[2_000:] == truth[2_000:]
    assert agreement(labels[1_000:2_000], truth[1_000:2_000]) == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("becomes", ["missing", "constant", "text", "scaled"])
def test_a_schema_break_touches_one_field_while_it_lasts(becomes: str) -> None:
    broken = {
        "kind": "schema_break",
        "at": 1_500,
        "field": "x2",
        "becomes": becomes,
        "until": 1_600,
    }
    events, labels = made(problem_of(changes=[broken]))
    plain, as_before = made(problem_of())
    touched = [n for n, (a, b) in enumerate(zip(events, plain, strict=True)) if a != b]
    assert touched == list(range(1_500, 1_600)) and labels == as_before
    value = events[1_500].get("x2")
    was = plain[1_500]["x2"]
    assert (
        value
        == {"missing": None, "constant": 0.5, "text": f"{was} units", "scaled": was * 1e3}[becomes]
    )
    assert all({**a, "x2": 0} == {**b, "x2": 0} for a, b in zip(events, plain, strict=True))


def test_several_classes_and_numbers() -> None:
    _, labels = made(problem_of("multiclass", ["red", "green", "blue"]))
    shares = [labels.count(colour) / len(labels) for colour in ("red", "green", "blue")]
    assert min(shares) > 0.1
    events, numbers = made(problem_of("regression", None))
    x = np.array([[event[f"x{j}"] for j in range(4)] for event in events]) - 0.5
    weights, *_ = np.linalg.lstsq(x, np.array(numbers), rcond=None)
    assert np.linalg.norm(weights) == pytest.approx(10.0, abs=1e-3)


def test_the_example_says_what_it_does() -> None:
    problem = load_problem(EXAMPLE)
    events, labels = made(problem)
    assert len(events) == 12_000 and set(labels) == {0, 1}
    assert agreement(labels[:3_000], oracle(problem, events, 0)[:3_000]) == pytest.approx(
        0.975, abs=0.01
    )


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{}", "a source needs a file or a generator"),
        ("{path: a.csv, generate: {rows: 9}}", "a source needs a file or a generator"),
        ("{generate: {rows: 9, changes: [{kind: abrupt, at: 9}]}}", "there are only 9 events"),
        ("{generate: {rows: 9, changes: [{kind: abupt, at: 9}]}}", "write `abrupt`"),
        ("{generate: {rows: 9, changes: [{kind: schema_break, at: 1, field: x9, becomes: text}]}}",
         "x0 to x3"),
        ("{generate: {rows: 99, changes: [{kind: gradual, at: 1}, {kind: abrupt, at: 5}]}}",
         "is not over"),
        ("{generate: {rows: 9, every: 0s}}", "time must pass"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_place(section: str, words: str) -> None:
    text = (
        f"name: a\ngoal: b\ntask: binary\nsource: {section}\n"
        "events: {fields: {x0: {type: number}}}\nlabel: {field: y}\n"
    )
    with pytest.raises(UsageError) as error:
        parse_problem(text)
    assert words in str(error.value) and "line 4" in str(error.value)


def test_planes_are_orthogonal_to_the_ones_they_follow() -> None:
    kinds = {1: "abrupt", 3: "recurring", 5: "abrupt"}
    changes = [{"kind": kind, "at": at} for at, kind in kinds.items()]
    generate = Generate.model_validate({"rows": 10, "changes": changes})
    found = planes(generate, stretches(generate), 3)
    assert np.abs((found[1] * found[0]).sum(1)).max() < 1e-12
    assert np.abs((found[2] * found[0]).sum(1)).max() < 1e-12
