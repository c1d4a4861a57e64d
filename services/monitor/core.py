"""Predictions, outcomes and rejections in; few alerts out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from services.monitor.answers import AnswerMoment, Answers
from services.monitor.audits import skewed
from services.monitor.episodes import Episode, Episodes, Found, Saved
from services.monitor.estimates import Estimates, EstimatesMoment
from services.monitor.inputs import Inputs, Moment
from services.monitor.versions import Versions, VersionsMoment
from shared.drift import Finding, Gap, Rates, name_cause
from shared.errors import UntrustedArtefact
from shared.messages.streams import ALERTS, AUDITS, EVENTS, OUTCOMES, PREDICTIONS, REJECTED
from shared.messages.types import (
    Alert,
    Audit,
    Control,
    Outcome,
    Prediction,
    RankedFeature,
    Rejected,
)
from shared.problem.spec import Problem
from shared.stage import Out, Record

ERROR_SETTLE_EVENTS = 200
"""Predictions from an error alarm to the second look at its cause."""


_ONE = np.ones(1)


class _Part(Protocol):
    """Anything whose state is arrays."""

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]: ...

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None: ...


class _State(msgspec.Struct):
    """All but the arrays. `look_at`: when the second look at an error alarm's cause is due."""

    predictions: int
    feature_set: str
    last: datetime | None
    look_at: int
    inputs: Moment | None
    answers: AnswerMoment
    episodes: Saved
    versions: VersionsMoment = msgspec.field(default_factory=VersionsMoment)
    estimates: EstimatesMoment = msgspec.field(default_factory=EstimatesMoment)


class Monitor:
    """Folds what happened into alerts; see the package for the invariants."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._budget = float(problem.drift.expected_run_length)
        self._inputs: Inputs | None = None
        self._answers = Answers(problem)
        self._versions = Versions()
        self._estimates = Estimates(problem)
        self._labels = Gap(problem.drift.label_gap)
        self._rejects = Rates(1)
        self._accepted = 0  # predictions that `_rejects` is still to be told
        self._episodes = Episodes()
        self._at = 0
        self._look_at = -1
        self._feature_set = ""
        self._last: datetime | None = None
        self._saved: dict[str, bytes] = {}

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """See the class."""
        for record in records:
            for alert in self._alerts(record):
                yield Out(ALERTS, alert, record, alert.alert)

    def _alerts(self, record: Record) -> Iterable[Alert]:
        if record.stream is PREDICTIONS:
            return self._predicted(record.value)
        if record.stream is OUTCOMES:
            return self._labelled(record.value)
        if record.stream is REJECTED:
            return self._rejected(record.value)
        if record.stream is AUDITS:
            return self._audited(record.value)
        return self._controlled(record.value)

    def _predicted(self, prediction: Prediction) -> Iterator[Alert]:
        time, at = prediction.time, self._at
        self._last = time
        if prediction.feature_set != self._feature_set or self._inputs is None:
            drift = self._problem.drift
            learned = self._problem.learned_names  # they move with labels
            names = tuple(name for name in prediction.features if name not in learned)
            self._inputs = Inputs(names, drift.reference, self._budget)
            self._feature_set = prediction.feature_set
        for found in self._inputs.update(prediction.features, at, time):
            self._episodes.add(found, at)
        for found in self._answers.predicted(prediction, time):
            self._episodes.add(found, at)
        for found in self._versions.predicted(prediction, time):
            self._episodes.add(found, at, delay=0)
        for found in self._estimates.predicted(prediction, self._versions.moment.suspect):
            self._episodes.add(found, at, delay=0)
        self._accepted += 1
        if self._labels.event():
            self._episodes.add(_stopped(self._labels.waiting, time), at, delay=0)
        if at == self._look_at:
            self._look_again(at)
        if self._episodes.open("silence") is not None:
            yield from self._episodes.close("silence", time)
        yield from self._episodes.due(at, time, self._held)
        self._at = at + 1

    def _labelled(self, outcome: Outcome) -> Iterator[Alert]:
        if outcome.revision or outcome.label is None:
            return
        time = outcome.labelled_at or outcome.time
        if not outcome.default and self._labels.arrived():
            yield from self._episodes.close("labels", time)
        self._estimates.labelled(outcome)
        for found in self._answers.labelled(outcome, time):
            self._episodes.add(self._explained(found), self._at)
            self._look_at = self._at + ERROR_SETTLE_EVENTS

    def _rejected(self, rejected: Rejected) -> Iterable[Alert]:
        """Events, and models: a label that is refused says nothing about the source of events."""
        if self._last is None:
            return ()
        if rejected.check == UntrustedArtefact.check:
            self._episodes.add(_refused(rejected, self._last), self._at, delay=0)
            return self._episodes.due(self._at, self._last, self._held)
        if rejected.topic.endswith(EVENTS):
            self._rejected_event(rejected, self._last)
        return ()

    def _rejected_event(self, rejected: Rejected, since: datetime) -> None:
        self._tell_accepted()
        if self._rejects.update(_ONE) < self._budget:
            return
        rate = float(self._rejects.rate[0])
        self._rejects.reset(np.ones(1, np.bool_))
        feature = () if rejected.field is None else (RankedFeature(rejected.field, 1.0),)
        found = Found(
            "rejected", "rejected", "data_quality", "warn", since, feature,
            {"last_check": rejected.check, "last_reason": rejected.reason, "rate_so_far": rate},
            f"many more events are rejected than before, the last by `{rejected.check}`",
        )  # fmt: skip
        self._episodes.add(found, self._at)

    def _audited(self, audit: Audit) -> Iterator[Alert]:
        """A window without a difference ends what the same partition's windows began."""
        skew = skewed(audit)
        episode = self._episodes.open("audit")
        if skew is not None:
            self._episodes.add(skew, self._at, delay=0)
        elif episode is not None and episode.found.evidence["partition"] == audit.partition:
            yield from self._episodes.close("audit", audit.end)

    def _tell_accepted(self) -> None:
        """What is not rejected, all at once when it matters."""
        if self._accepted:
            self._rejects.zeros(self._accepted)
            self._accepted = 0

    def _controlled(self, control: Control) -> Iterator[Alert]:
        time = control.time
        if control.command in ("acknowledge", "resolve"):
            yield from self._episodes.command(control.command, control.target, self._at, time)
        elif control.command == "end":
            yield from self._episodes.flush(time)
        elif control.command == "tick" and self._last is not None:
            limit = self._problem.drift.silence
            if limit is not None and time - self._last > limit:
                found = Found(
                    "silence", "silence", "silence", "page", self._last,
                    evidence={"limit_s": limit.total_seconds()},
                    text=f"no event since {self._last:%Y-%m-%d %H:%M}",
                )  # fmt: skip
                self._episodes.add(found, self._at, delay=0)
                yield from self._episodes.due(self._at, time, lambda episode: True)

    def _explained(self, found: Found) -> Found:
        """An error alarm with the inputs that are known to move, if any: else concept drift."""
        moving = self._inputs.moving() if self._inputs else {}
        drifting = self._episodes.open("inputs")
        for f in drifting.found.features if drifting else ():
            moving.setdefault(f.feature, 1.0)
        findings = [Finding("errors", "", self._at)]
        findings += [Finding("inputs", name, self._at, v) for name, v in moving.items()]
        broken = self._episodes.open("sources")
        for f in (
            broken.found.features if broken else ()
        ):  # which of the source kinds is all one here
            findings.append(Finding("unit", f.feature, self._at))
        verdict = name_cause(findings)
        if verdict is None or verdict.cause == "concept_drift":
            return found
        features = tuple(RankedFeature(f.feature, f.evidence) for f in verdict.features)
        return msgspec.structs.replace(found, cause=verdict.cause, features=features)

    def _look_again(self, at: int) -> None:
        """The second look at an error alarm: units of every feature, then what moves by now."""
        self._look_at = -1
        episode = self._episodes.open("errors")
        if episode is None or self._inputs is None:
            return
        for found in self._inputs.units(self._inputs.names, episode.found.since):
            self._episodes.add(found, at)
        if episode.found.cause == "concept_drift":
            self._episodes.add(self._explained(episode.found), at)

    def _held(self, episode: Episode) -> bool:
        """Whether what an episode is about goes on."""
        if episode.found.group == "labels":
            return self._labels.fired
        if episode.found.group in ("silence", "audit"):
            return True
        names = [f.feature for f in episode.found.features]
        return self._inputs is not None and self._inputs.frozen(names)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One entry of scalars, and one an array that changed."""
        self._tell_accepted()
        moment = self._inputs.moment if self._inputs else None
        state = _State(
            self._at, self._feature_set, self._last, self._look_at,
            moment, self._answers.moment, self._episodes.save(), self._versions.moment,
            self._estimates.moment,
        )  # fmt: skip
        entries = {"state": msgspec.msgpack.encode(state)}
        entries |= {name: array.tobytes() for name, array in self._arrays().items()}
        for name, data in entries.items():
            digest = blake2b(data, digest_size=16).digest()
            if self._saved.get(name) != digest:
                self._saved[name] = digest
                yield name, data

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        state = msgspec.msgpack.decode(entries["state"], type=_State)
        self._at, self._feature_set = state.predictions, state.feature_set
        self._last, self._look_at = state.last, state.look_at
        self._answers.moment = state.answers
        self._episodes.load(state.episodes)
        self._versions.moment = state.versions
        self._estimates.moment = state.estimates
        if state.inputs is not None:
            drift = self._problem.drift
            self._inputs = Inputs(state.inputs.names, drift.reference, self._budget)
            self._inputs.moment = state.inputs
            self._inputs.recent[:] = _like(self._inputs.recent, entries["recent"])
        for part, owner in self._parts().items():
            fresh = owner.snapshot()
            owner.restore({n: _like(a, entries[f"{part}/{n}"]) for n, a in fresh.items()})
        self._saved = {k: blake2b(v, digest_size=16).digest() for k, v in entries.items()}

    def _arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        out: dict[str, npt.NDArray[np.generic]] = {}
        for part, owner in self._parts().items():
            out |= {f"{part}/{name}": array for name, array in owner.snapshot().items()}
        if self._inputs is not None:
            out["recent"] = self._inputs.recent
        return out

    def _parts(self) -> dict[str, "_Part"]:
        """Everything that holds arrays, by its place in the state."""
        parts: dict[str, _Part] = {"labels": self._labels, "rejects": self._rejects}
        parts |= {f"answers/{name}": part for name, part in self._answers.parts.items()}
        if self._inputs is not None:
            parts |= {f"inputs/{name}": part for name, part in self._inputs.parts.items()}
        return parts


def _like(array: npt.NDArray[np.generic], data: bytes) -> npt.NDArray[np.generic]:
    """`data` as an array of the same type and shape."""
    return np.frombuffer(data, array.dtype).reshape(array.shape)


def _refused(rejected: Rejected, time: datetime) -> Found:
    """Somebody offered a model that is not what a trusted key signed."""
    where = {"topic": rejected.topic, "offset": rejected.offset}
    return Found(
        "artefacts", "refused_artefact", "untrusted_artefact", "page", time, (), where,
        f"{rejected.reason}. Nothing of it was run; the model at hand goes on",
    )  # fmt: skip


def _stopped(waiting: int, time: datetime) -> Found:
    return Found(
        "labels", "labels_stopped", "label_delay", "page", time,
        evidence={"predictions_without_label": waiting},
        text=f"no label for {waiting:,} predictions, longer than ever before",
    )  # fmt: skip
