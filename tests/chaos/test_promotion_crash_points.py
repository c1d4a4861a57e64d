"""Crash points of accept, canary, promote and rollback, enumerated; then every answer scored once more.

The log is touched N times from the acceptance to the rollback; the run is made N times, dying at touch
k and starting anew. All streams must be equal each time, so what is shown of one run holds for all: one
live version at each offset, one canary, and each prediction is the answer of the version it states.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import groupby

import msgspec
import numpy as np
import pytest

from shared.blobs.memory import MemoryBlobs
from shared.log.memory import MemoryLog
from shared.messages.codec import decode
from shared.messages.labels import class_key
from shared.messages.streams import JOBS, MODELS, OUTCOMES, PREDICTIONS, RAW, Stream
from shared.messages.types import Control, ModelEvent, Outcome, Prediction
from shared.models.arrival import unpack_arrival, view_width
from shared.models.artefact import anchor_from_bytes
from shared.models.live import fresh, members_per_version
from shared.models.rows import matrix
from shared.models.said import unpack_many
from shared.problem.spec import Problem
from shared.stage import Record
from tests.kit.crashing import Crash, CrashingLog
from tests.kit.promoting import SHADOW_AT, Whole, commanded, promoting
from tests.unit.judge.test_judge import T0

pytestmark = pytest.mark.slow
ROWS = 320
COMMANDS = {
    SHADOW_AT + 10: Control(command="promote", time=T0, by="ada", target="v2"),
    SHADOW_AT + 95: Control(command="rollback", time=T0, by="ada"),
}
STORY = [("v1", "champion"), ("v2", "shadow"), ("v2", "canary"), ("v2", "champion"),
         ("v1", "champion"), ("v2", "rejected")]  # fmt: skip


def contents(log: MemoryLog) -> dict[str, list[bytes]]:
    """Every stream as it stands."""
    return {
        str(s): [
            r.value if s in RAW else msgspec.json.encode(decode(s, r.value))
            for r in log.read([s], {}, 100_000)
        ]
        for s in Stream
    }


@dataclass(frozen=True)
class Undisturbed:
    """`begun`: the log shortly before the acceptance; `touches` from there to the end."""

    streams: dict[str, list[bytes]]
    blobs: MemoryBlobs
    begun: MemoryLog
    touches: int


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    begun, blobs = commanded(promoting(), ROWS, COMMANDS), MemoryBlobs()
    before = Whole(begun, blobs, promoting())
    while len(begun.read([OUTCOMES], {}, 100_000)) < SHADOW_AT - 20:
        assert before.runner.step()
    before.runner.checkpoint()
    log = deepcopy(begun)
    counting = CrashingLog(log)
    Whole(counting, blobs, promoting()).drive()
    return Undisturbed(contents(log), blobs, begun, counting.touches)


def test_dying_anywhere_between_acceptance_and_rollback_changes_nothing(
    undisturbed: Undisturbed,
) -> None:
    assert undisturbed.touches > 30
    for at in range(1, undisturbed.touches + 1):
        log, blobs = deepcopy(undisturbed.begun), deepcopy(undisturbed.blobs)
        with pytest.raises(Crash):
            Whole(CrashingLog(log, at), blobs, promoting()).drive()
        Whole(log, blobs, promoting()).drive()
        assert contents(log) == undisturbed.streams, f"dying at touch {at}"


def test_each_offset_has_one_live_version(undisturbed: Undisturbed) -> None:
    streams = undisturbed.streams
    steps = [decode(MODELS, data) for data in streams[MODELS]]
    assert [(s.model, s.state) for s in steps if s.state != "snapshot"] == STORY
    published = [decode(PREDICTIONS, data) for data in streams[PREDICTIONS]]
    live = [p.champion or p.model for p in published]
    assert [version for version, _ in groupby(live)] == ["v1", "v2", "v1"]
    tried = [place for place, p in enumerate(published) if p.champion is not None]
    assert tried
    assert {published[place].model for place in tried} == {"v2"}
    assert tried[-1] < live.index("v2")
    assert len(tried) <= 0.05 * len(live[: live.index("v2")])
    assert len({p.id for p in published}) == len(published)


def test_what_the_job_gained_is_on_the_record_once(undisturbed: Undisturbed) -> None:
    """Measured by hand: the labelled events that v2 answered, and what v1 said of them."""
    streams = undisturbed.streams
    jobs = [decode(JOBS, data) for data in streams[JOBS]]
    (settled,) = [job for job in jobs if job.state == "settled"]
    outcomes = [decode(OUTCOMES, data) for data in streams[OUTCOMES]]
    back = next(
        i for i, data in enumerate(streams[MODELS]) if decode(MODELS, data).state == "rejected"
    )
    until = decode(MODELS, streams[MODELS][back]).outcomes
    watched = [o for o in outcomes[:until] if o.model == "v2" and o.champion is None]
    now = sum(o.prediction != o.label for o in watched)
    before = sum(o.shadow["v1"]["prediction"] != o.label for o in watched)
    account = settled.evidence
    assert (account["pairs"], account["lost"], account["lost_before"]) == (
        len(watched),
        now,
        before,
    )
    assert account["gained"] == before - now


def test_every_published_answer_is_that_of_the_version_it_states(undisturbed: Undisturbed) -> None:
    """A slow oracle: one event, one label at a time, by the rule of freshness, from the log alone."""
    checked = set()
    found = rescored(promoting(), undisturbed.streams, undisturbed.blobs)
    for prediction, answers in found:
        beside = {v: a["probabilities"] for v, a in (prediction.shadow or {}).items()}
        assert {prediction.model: prediction.probabilities, **beside} == answers, prediction.id
        checked.add((prediction.model, prediction.champion))
    assert checked == {("v1", None), ("v2", "v1"), ("v2", None)}


def rescored(
    problem: Problem, streams: dict[str, list[bytes]], blobs: MemoryBlobs
) -> Iterator[tuple[Prediction, dict[str, dict[str, float]]]]:
    """Each prediction, with what every version of a pool made anew says of its features."""
    fold = Fold(problem, blobs)
    for record in in_arrival_order(streams):
        if record.stream is PREDICTIONS:
            yield record.value, fold.answers(record.value)
        elif record.stream is OUTCOMES:
            fold.learn(record.value)
        else:
            fold.decided.append(record.value)


def in_arrival_order(streams: dict[str, list[bytes]]) -> Iterator[Record]:
    """Predictions, outcomes and steps as they came about: an outcome comes after its prediction and
    with its label's place; a step says after which outcome. Labels come half an hour late here, in
    order: at the next event, before it.
    """
    predictions = [decode(PREDICTIONS, data) for data in streams[PREDICTIONS]]
    outcomes = [decode(OUTCOMES, data) for data in streams[OUTCOMES]]
    steps = [decode(MODELS, data) for data in streams[MODELS]]
    told = 0
    for prediction in predictions:
        while told < len(outcomes) and outcomes[told].labelled_at <= prediction.time:
            yield Record(OUTCOMES, outcomes[told])
            told += 1
            yield from (Record(MODELS, s) for s in steps if _comes_with(s, told))
        yield Record(PREDICTIONS, prediction)


def _comes_with(step: ModelEvent, outcomes: int) -> bool:
    return step.state != "snapshot" and step.by != "learner" and step.outcomes == outcomes


class Fold:
    """The learner's rule, by hand."""

    def __init__(self, problem: Problem, blobs: MemoryBlobs) -> None:
        start = fresh(problem, len(problem.feature_names))
        self.pool, self.classes, self.names = start.pool, start.classes, problem.feature_names
        self.n_base, self.n_members = len(start.pool.bank.names), members_per_version(start.pool)
        self.freshness, self.blobs = problem.model.freshness, blobs
        self.waiting: list[Outcome] = []
        self.decided: list[ModelEvent] = []
        self.outcomes = 0

    def answers(self, prediction: Prediction) -> dict[str, dict[str, float]]:
        scored = self.pool.predict_many(matrix([prediction.features], self.names))
        keys = [class_key(value) for value in self.classes]
        return {
            version: dict(
                zip(keys, np.round(verdict.mean[0, : len(keys)], 6).tolist(), strict=True)
            )
            for version, verdict in scored.by_version.items()
        }

    def learn(self, outcome: Outcome) -> None:
        self.waiting.append(outcome)
        self.outcomes += 1
        if self.outcomes % self.freshness == 0:
            for one in self.waiting:
                if not one.revision and one.label is not None:
                    self._learn(one)
            decided, self.waiting, self.decided = self.decided, [], []
            for step in decided:
                self._apply(step)

    def _learn(self, outcome: Outcome) -> None:
        said = unpack_many([outcome.said or ""], self.n_base, self.n_members, half=True)
        base, anchors = self.pool.bank.names[: self.n_base], said.anchors
        layout = next(n for n, names in self.pool.layouts.items() if names == (*base, *anchors))
        self.pool.learn_many(
            matrix([outcome.features], self.names),
            np.array([self.classes.index(outcome.label)]),
            said.experts,
            said.members,
            unpack_arrival([outcome.arrival or ""], view_width(len(self.names))),
            layout,
        )

    def _apply(self, step: ModelEvent) -> None:
        if step.state == "shadow":
            anchor = anchor_from_bytes(self.blobs.get(step.blob or ""))
            self.pool.add_version(step.model, {step.model: anchor})
        elif step.state == "champion":
            self.pool.promote(step.model)
        elif step.state == "rejected":
            self.pool.drop_version(step.model)
