"""The whole electricity example, late and shuffled, through validator, featurizer and auditor."""

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from services import discover
from services.collector.replay import arrivals
from services.collector.sources.table import rows_of
from services.console.core import Board
from services.featurizer.core import Featurizer
from shared.blobs.memory import MemoryBlobs
from shared.messages.streams import EVENTS, PREDICTIONS
from shared.problem.load import load_problem
from shared.problem.spec import Problem
from shared.runtime.fuse import Fused
from shared.stage import Record
from tests.kit.recorded import filled, inputs_of, tools_over
from tests.kit.runs import ELECTRICITY
from tests.unit.auditor.test_auditor import audits, clean, compared, in_turn, served

WHOLE = 45_312


def problem(**formula: Any) -> Problem:
    """The example, with half-hours up to six hours late, and perhaps another formula."""
    found = load_problem(ELECTRICITY)
    raw = found.model_dump(mode="json")
    raw["events"]["allow_backwards"] = "6h"
    for feature in raw["features"]:
        feature |= {"formula": formula[feature["name"]]} if feature.get("name") in formula else {}
    return Problem.model_validate(raw)


def shuffled(rows: int) -> list[Record]:
    """Each event up to five places from its own."""
    spec = load_problem(ELECTRICITY)
    path = ELECTRICITY.parent / "electricity.parquet"
    found = [a for a in arrivals(islice(rows_of(path, spec), rows), spec) if a.stream is EVENTS]
    places = np.argsort(np.arange(len(found)) + np.random.default_rng(1).uniform(0, 6, len(found)))
    return [
        Record(EVENTS, found[place].value, found[place].key, 0, n, seq=n)
        for n, place in enumerate(places.tolist())
    ]


@pytest.mark.slow
def test_over_the_whole_example_nothing_differs() -> None:
    spec = problem()
    events = shuffled(WHOLE)
    outs = served(spec, events)
    assert sum(record.value.features["nswdemand_lag_336"] is not None for record in outs) > 44_000
    found = audits(spec, in_turn(events, outs))
    assert clean(found) and compared(found) == WHOLE
    assert all(record.stream is PREDICTIONS for record in outs), "some were too late"


def test_a_skew_is_named_within_one_window() -> None:
    """A featurizer with another definition of one feature: a day is a window."""
    events = shuffled(400)
    skewed = problem(change_yesterday="nswdemand_lag_47 - nswdemand_lag_2")
    found = audits(problem(), in_turn(events, served(skewed, events)))
    bad = [audit for audit in found if audit.features]
    assert {row.feature for audit in bad for row in audit.features} == {"change_yesterday"}
    assert found.index(bad[0]) <= 1, "the first day has no half-hour of yesterday yet"


@pytest.mark.slow
def test_in_the_whole_system_the_skew_becomes_a_page() -> None:
    """All services; only the featurizer's file says something else about one feature."""
    spec = load_problem(ELECTRICITY)
    other = problem(change_yesterday="nswdemand_lag_47 - nswdemand_lag_2")
    services = [
        replace(service, build=lambda _, tools: Featurizer(other))
        if service.name == "featurizer" else service
        for service in discover() if service.build is not None
    ]  # fmt: skip
    fused = Fused(services, spec, tools_over(lambda start, end: [], spec, MemoryBlobs()))
    fused.restore({})
    records = inputs_of(filled(spec, 170), fused)
    fused.handle(records)
    board = fused.stage("console")
    assert isinstance(board, Board)
    (alert,) = [a for a in board.summary()["alerts"] if a["kind"] == "feature_skew"]
    assert [feature["feature"] for feature in alert["features"]] == ["change_yesterday"]
    assert set(board.summary()["audit"]["features"]) == {"change_yesterday"}
