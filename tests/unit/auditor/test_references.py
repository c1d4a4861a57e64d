"""The auditor repeats lookups: what the featurizer had read by then, whatever it has read itself."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.auditor import SERVICE, facts
from services.auditor.core import Auditor
from services.featurizer.core import Featurizer
from services.validator.core import Validator
from shared.messages.streams import CONTROL, EVENTS, PREDICTIONS, REFERENCES, REJECTED, VALID
from shared.messages.types import Audit, Control, Features, Prediction
from shared.problem.spec import Problem
from shared.stage import Record
from tests.kit.check_stage import check_stage
from tests.kit.referring import FEATURES, START, problem, records

END = Record(CONTROL, Control(command="end", time=START), seq=10**9)


def served(
    spec: Problem, inputs: Sequence[Record], partition: int = 0, late: int = 0
) -> list[Record]:
    """Predictions of a worker that reads references `late` inputs later than events."""
    validator, featurizer = Validator(spec), Featurizer(spec)
    waiting: list[Record] = []
    outs: list[Record] = []
    for n, record in enumerate(inputs):
        if record.stream is REFERENCES:
            waiting.append(replace(record, seq=n + late))
        while waiting and waiting[0].seq <= n:
            list(featurizer.handle([waiting.pop(0)]))
        for out in validator.handle([record] if record.stream is EVENTS else []):
            stream, value = out.stream, out.value
            if stream is VALID:
                (made,) = featurizer.handle([Record(VALID, value, out.key)])
                stream, value = PREDICTIONS, prediction(made.value)
            outs.append(Record(stream, value, None, partition, len(outs), record.seq))
    return outs


def prediction(made: Features) -> Prediction:
    return Prediction(
        id=made.id, time=made.time, prediction=1, model="v1", key=made.key,
        features=made.features, feature_set=made.feature_set, references=made.references,
        unfound=made.unfound,
    )  # fmt: skip


def in_turn(*parts: Sequence[Record]) -> list[Record]:
    ranks = {REFERENCES: 0, EVENTS: 1, REJECTED: 2, PREDICTIONS: 3}
    whole = [record for part in parts for record in part]
    return [*sorted(whole, key=lambda r: (r.seq, ranks[r.stream])), END]


def audits(spec: Problem, stream: Sequence[Record]) -> list[Audit]:
    return [out.value for out in Auditor(spec).handle(stream)]


def agrees(found: Sequence[Audit], outs: Sequence[Record]) -> bool:
    assert not any(a.features or a.unmatched or a.foreign or a.unfounded for a in found), found
    return sum(a.compared for a in found) == sum(r.stream is PREDICTIONS for r in outs)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 7]), st.sampled_from([{}, {"max_keys": 2}]))
def test_lookups_are_found_equal_however_late_references_were_read(
    seed: int, late: int, bounds: dict[str, Any]
) -> None:
    spec = problem(customers=bounds)
    inputs = records(seed, 90)
    outs = served(spec, inputs, late=late)
    assert agrees(audits(spec, in_turn(inputs, outs)), outs)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 2), max_size=150))
def test_whichever_topic_is_read_first(seed: int, turns: list[int]) -> None:
    spec = problem()
    inputs = records(seed, 80)
    outs = served(spec, inputs)
    kinds = [
        [r for r in (*inputs, *outs) if r.stream is s] for s in (EVENTS, REFERENCES, PREDICTIONS)
    ]
    mixed = [record for record in outs if record.stream is REJECTED]
    for turn in turns:
        if kinds[turn]:
            mixed.append(kinds[turn].pop(0))
    mixed += [record for turn in (2, 0, 1) for record in kinds[turn]] + [END]
    assert agrees(audits(spec, mixed), outs)


def test_partitions_that_have_read_to_different_places() -> None:
    spec, inputs = problem(), records(3, 150)
    parts = [[r for r in inputs if r.stream is REFERENCES or r.seq % 2 == p] for p in (0, 1)]
    outs = [*served(spec, parts[0], 0), *served(spec, parts[1], 1, late=20)]
    events = [
        replace(r, partition=p, offset=n)
        for p, part in enumerate(parts)
        for n, r in enumerate(r for r in part if r.stream is EVENTS)
    ]
    references = [r for r in inputs if r.stream is REFERENCES]
    assert agrees(audits(spec, in_turn(events, references, outs)), outs)


def test_a_planted_skew_in_a_lookup_is_named() -> None:
    spec, inputs = problem(), records(5, 150)
    outs = served(problem(customers={"keep": 1}), inputs)
    named = {row.feature for a in audits(spec, in_turn(inputs, outs)) for row in a.features}
    assert "customers_limit" in named
    assert named <= set(spec.feature_names)


@pytest.mark.parametrize(("features", "goes_on"), [(FEATURES[:4], True), (FEATURES, False)])
def test_a_buffer_that_is_full_accuses_nobody(
    features: list[dict[str, Any]], goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All references were read before the first prediction, and they cannot all wait."""
    monkeypatch.setattr(facts, "MOST", 20)
    spec, inputs = problem(features=features), records(9, 300)
    outs = served(spec, inputs)
    references = [r for r in inputs if r.stream is REFERENCES]
    rest = in_turn([r for r in inputs if r.stream is EVENTS], outs)
    found = audits(spec, [*references, *rest])
    assert not any(audit.features or audit.unmatched for audit in found)
    assert sum(audit.unfounded for audit in found) > 0
    assert (sum(audit.compared for audit in found) > 0) is goes_on


def test_it_is_a_stage() -> None:
    spec, inputs = problem(), records(17, 120)
    whole = in_turn(inputs, served(spec, inputs, late=5))
    shuffled = [*whole[1::2], *whole[::2]]  # so that some wait at each cut
    assert check_stage(SERVICE, lambda: Auditor(spec), shuffled, [1, 60, 110, 170])
