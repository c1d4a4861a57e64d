"""Candidates that should never serve. Each reaches at most 5 % of the events, and ends on the record.

The trainer here is hostile: the honest fit's result is tampered with before it is signed, and the
offline test lets everything pass. (A fit that is too slow or takes too much memory fails before that:
`tests/unit/trainer/test_shell.py`, `test_acceptance.py`.)
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from shared.errors import UntrustedArtefact
from shared.messages.streams import ALERTS, MODELS, OUTCOMES, PREDICTIONS, REJECTED
from shared.messages.types import Control, ModelEvent
from shared.models.anchors import anchor_from_sklearn, anchor_of
from shared.models.artefact import anchor_from_bytes, anchor_to_bytes
from shared.models.candidates import CANDIDATES
from shared.models.linear_anchor import LinearAnchor
from shared.problem.spec import Canary
from shared.registry.decisions import signed_by
from shared.registry.manifest import BlobRef
from shared.registry.signing import Signer, Verifier, generate_key
from shared.stage import Record, Tools
from tests.kit.promoting import SHADOW_AT, commanded, produced, promoting
from tests.kit.recorded import KEY, short_problem
from tests.unit.judge.test_judge import T0

pytestmark = pytest.mark.slow
ROWS = 500
Arrays = dict[str, Any]


def with_artefact(result: dict[str, Any], data: bytes, **manifest: Any) -> dict[str, Any]:
    """The result with another artefact, its manifest made to fit."""
    changed = {**result["manifest"], "artefact": {"digest": BlobRef.of(data).digest,
               "size_bytes": len(data)}, **manifest}  # fmt: skip
    return {**result, "artefact": data, "manifest": changed}


def rearranged(change: Callable[[Arrays], Arrays]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The honest linear model with other arrays."""

    def poison(result: dict[str, Any]) -> dict[str, Any]:
        anchor = anchor_from_bytes(result["artefact"])
        assert isinstance(anchor, LinearAnchor)
        return with_artefact(
            result, anchor_to_bytes(anchor_of("linear", change(dict(anchor.snapshot()))))
        )

    return poison


def flipped(arrays: Arrays) -> Arrays:
    """As a model fitted on flipped labels."""
    return {**arrays, "weights": -arrays["weights"], "bias": -arrays["bias"]}


def not_a_number(arrays: Arrays) -> Arrays:
    return {**arrays, "bias": arrays["bias"] * np.nan}


def narrower(arrays: Arrays) -> Arrays:
    """For one feature less, under a manifest that says nothing of it."""
    per_feature = ("fill", "mean", "scale", "weights")
    return {**arrays, **{name: arrays[name][:-1] for name in per_feature}}


def sometimes_nothing(result: dict[str, Any]) -> dict[str, Any]:
    """A tree with a leaf that says NaN: no probe finds it, the stream does."""
    names = short_problem().feature_names
    x = np.random.default_rng(0).random((400, len(names)))
    y = (4 * x[:, names.index("nswdemand")]).astype(int) % 2
    tree = CANDIDATES["tree"].make(False, 1, 2).fit(x, y)
    anchor = anchor_from_sklearn(tree, (0, 1))
    probes = np.array([np.full(len(names), value) for value in (0.0, np.nan, 1e6)])
    silent: dict[float, bytes] = {}
    for node in range(len(anchor.snapshot()["leaf"])):
        leaves = anchor.snapshot()["leaf"].copy()
        leaves[node] = np.nan
        broken = anchor_of("trees", {**anchor.snapshot(), "leaf": leaves})
        if np.isfinite(broken.predict_many(probes)).all():
            silent[np.isnan(broken.predict_many(x)[:, 0]).mean()] = anchor_to_bytes(broken)
    assert max(silent) > 0.1
    return with_artefact(result, silent[max(silent)])


def other_features(result: dict[str, Any]) -> dict[str, Any]:
    features = ["price", *result["manifest"]["features"][1:]]
    return with_artefact(result, result["artefact"], features=features)


def other_version(result: dict[str, Any]) -> dict[str, Any]:
    return with_artefact(result, result["artefact"], version="v1")


def forged(part: str) -> Callable[[Tools], Tools]:
    """Somebody else's key signs the trainer's artefact or its record; what is trusted stays."""
    other = Signer(generate_key())

    def tampered(tools: Tools) -> Tools:
        def signed(content: Any) -> dict[str, Any]:
            decision = content.get("decision")
            if decision is None:
                theirs = part == "artefact" and content["kind"] != "snapshot"
            else:
                theirs = part == "record" and decision.get("state") == "shadow"
            return (other if theirs else KEY).sign(content)

        return replace(tools, signed=signed)

    return tampered


def promote(labels: int = SHADOW_AT + 20) -> dict[int, Control]:
    """The worst operator: promotes at once, whatever it is."""
    return {labels: Control(command="promote", time=T0, by="somebody", target="v2")}


def steps_of(made: list[Record], version: str = "v2") -> list[ModelEvent]:
    return [r.value for r in made if r.stream is MODELS and r.value.model == version]


def exposure(made: list[Record], version: str = "v2") -> float:
    """Share of the events since `version` was let on that it answered."""
    begun = [r.seq for r in made if r.stream is MODELS and r.value.state == "canary"]
    if not begun:
        begun = [0]
    after = [r.value.model for r in made if r.stream is PREDICTIONS and r.seq > begun[0] + 8]
    return after.count(version) / len(after)


def check_usable(made: list[Record]) -> None:
    """Every event has one answer that is a class, with numbers."""
    answers = [r.value for r in made if r.stream is PREDICTIONS]
    assert len(answers) == len({a.id for a in answers}) >= ROWS - 5
    for a in answers:
        assert a.prediction in (0, 1)
        assert all(p is not None for p in a.probabilities.values())


def events_to_the_end(made: list[Record]) -> int:
    """Events from the shadow record of v2 to the one that ends it."""
    states: dict[str, int] = {}
    scored = 0
    for record in made:
        scored += record.stream is PREDICTIONS
        if record.stream is MODELS and record.value.model == "v2":
            states.setdefault(record.value.state, record.seq)
    begun, over = states["shadow"], states["rejected"]
    return sum(1 for r in made if r.stream is PREDICTIONS and begun < r.seq <= over)


@pytest.mark.parametrize(
    ("poison", "why"),
    [
        (rearranged(not_a_number), "no usable answer"),
        (rearranged(narrower), "it fails on"),
        (other_features, "made for other features"),
        (other_version, "this is v1, not v2"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_scores(poison: Any, why: str) -> None:
    made = produced(commanded(promoting(), ROWS, promote()), promoting(), poison)
    refused = steps_of(made)
    assert [(s.state, s.by) for s in refused[:2]] == [
        ("shadow", "trainer"),
        ("rejected", "learner"),
    ]
    assert why in refused[1].reason
    assert events_to_the_end(made) <= 2 * 4  # freshness boundaries
    assert exposure(made) == 0.0
    check_usable(made)


def refusals(made: list[Record]) -> list[str]:
    return [
        r.value.reason
        for r in made
        if r.stream is REJECTED and r.value.check == UntrustedArtefact.check
    ]


def test_an_artefact_signed_with_another_key_is_refused() -> None:
    made = produced(
        commanded(promoting(), ROWS, promote()), promoting(), tamper=forged("artefact")
    )
    assert [s.state for s in steps_of(made)[:2]] == ["shadow", "rejected"]
    assert "unknown key" in steps_of(made)[1].reason
    assert exposure(made) == 0.0
    check_usable(made)


def test_a_record_signed_with_another_key_is_as_if_it_had_not_come() -> None:
    made = produced(commanded(promoting(), ROWS, promote()), promoting(), tamper=forged("record"))
    assert [s.state for s in steps_of(made)] == ["shadow"]
    with pytest.raises(UntrustedArtefact, match="unknown key"):
        signed_by(steps_of(made)[0], Verifier([KEY.public]))
    told = refusals(made)
    assert [words.split()[1] for words in told] == ["judge", "learner"]
    assert all("unknown key" in words for words in told)
    assert exposure(made) == 0.0
    check_usable(made)


def test_forged_steps_change_nothing_and_page() -> None:
    """Before the true v2 comes, and while it scores: what was published is the same to the byte, and
    the version whose name was used can still come.
    """
    problem = promoting()
    log = commanded(problem, ROWS, {})
    honest = produced(log, problem)
    shadow = next(r for r in honest if r.stream is MODELS and r.value.state == "shadow")
    changes = {"unsigned": {"signature": None}, "judge": {"state": "champion", "by": "judge"},
             "learner": {"state": "rejected", "by": "learner"}, "canary": {"state": "canary"},
             "snapshot": {"state": "snapshot", "outcomes": 9_999}}  # fmt: skip
    false = [msgspec.structs.replace(shadow.value, **change) for change in changes.values()]
    late = [Record(MODELS, step, "v2", seq=shadow.seq + place)
            for place in (-120, 30) for step in false]  # fmt: skip
    made = produced(log, problem, late=late)
    for stream in (PREDICTIONS, OUTCOMES, MODELS):
        told, before = ([r.value for r in run if r.stream is stream] for run in (made, honest))
        assert told == before
    readers = [words.split()[1] for words in refusals(made)]
    assert readers.count("judge") == readers.count("learner") == len(late)
    (page,) = {
        r.value.alert for r in made if r.stream is ALERTS and r.value.kind == "refused_artefact"
    }
    assert page


def test_a_model_of_flipped_labels_is_rejected_in_shadow() -> None:
    problem = promoting()
    made = produced(commanded(problem, ROWS, {}), problem, rearranged(flipped))
    *_, last = steps_of(made)
    assert (last.state, last.by) == ("rejected", "judge")
    assert last.evidence["decision"] == "reject"
    assert signed_by(last, Verifier([KEY.public])) == KEY.key_id
    assert events_to_the_end(made) <= problem.promotion.max_pairs + 2 * 4
    assert exposure(made) == 0.0


def test_a_classifier_that_sometimes_says_nothing_is_no_danger() -> None:
    """The mix takes its silence for "no chance", learns what that is worth, and gains nothing by it.
    (In regression the version has no answer then: `tests/unit/scorer/test_stand_in.py`.)
    """
    problem = promoting()
    made = produced(commanded(problem, ROWS, {}), problem, sometimes_nothing)
    *_, last = steps_of(made)
    assert (last.state, last.by) == ("rejected", "judge")
    assert events_to_the_end(made) <= problem.promotion.max_pairs + 2 * 4
    assert exposure(made) == 0.0
    check_usable(made)


def test_whatever_an_operator_lets_on_reaches_one_event_in_twenty() -> None:
    problem = promoting(Canary(share=0.05, by="event", pairs=5_000))
    commands = promote(SHADOW_AT + 20)
    made = produced(commanded(problem, ROWS, commands), problem, sometimes_nothing)
    assert [s.state for s in steps_of(made)] == ["shadow", "canary"]
    assert 0 < exposure(made) <= 0.05
    check_usable(made)


def test_a_stale_record_does_not_bring_a_model_back() -> None:
    """v2 was rejected; somebody who can write to `models` plays its record again."""
    problem = promoting()
    log = commanded(problem, ROWS, {})
    once = produced(log, problem, rearranged(flipped))
    first = next(s for s in steps_of(once) if s.state == "shadow")
    last = max(r.seq for r in once)
    again = Record(MODELS, first, "v2", seq=last + 1)
    assert [s.state for s in steps_of(once)] == ["shadow", "rejected"]
    joined = produced(log, problem, rearranged(flipped), late=[again])
    outcomes = [r for r in joined if r.stream is OUTCOMES]
    assert len(outcomes) == len([r for r in once if r.stream is OUTCOMES])
    shadows = [r.value.shadow for r in joined if r.stream is PREDICTIONS][-4:]
    assert shadows == [None] * 4
