"""A small seeded run as messages: a break in the world, alerts, jobs, a shadow, a swap, bad events."""

from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from shared.messages.streams import (
    ALERTS,
    AUDITS,
    CONTROL,
    JOBS,
    MODELS,
    OUTCOMES,
    PREDICTIONS,
    REJECTED,
    Stream,
)
from shared.messages.types import (
    Alert,
    Audit,
    AuditedFeature,
    Control,
    Job,
    ModelEvent,
    Outcome,
    Prediction,
    RankedFeature,
    Rejected,
)
from shared.problem.spec import Problem
from shared.stage import Record

START = datetime(1996, 5, 7, tzinfo=UTC)
STEP = timedelta(minutes=30)
_PLAN = {
    500: "ask",
    700: "accept",
    1_200: "swap",
    1_900: "job-0002",
    2_100: "refuse",
    2_900: "job-0003",
}
HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


def problem(**changes: Any) -> Problem:
    """Three numbers, two classes, one rule; labels come one event later."""
    number = {"type": "number"}
    text = {
        "name": "electricity",
        "goal": "Say every half hour whether demand will rise in the next half hour.",
        "task": "binary",
        "events": {
            "id": "id",
            "time": "time",
            "fields": {"nswprice": number, "nswdemand": number, "vicprice": number},
        },
        "label": {"field": "rises", "classes": [0, 1], "delay": "30m", "wait": "2h"},
        "evaluation": {"rules": [{"name": "as_yesterday", "expression": "nswprice > 0"}]},
        "retraining": {"triggers": [{"on": "drift"}, {"on": "volume", "outcomes": 10_000}]},
        **changes,
    }
    return Problem.model_validate(text)


class Story:
    """Yields records of `n` events in the order of the log. `at`: what happens after which event."""

    def __init__(self, n: int = 6_000, seed: int = 1, delay: int = 1) -> None:
        self.n = n
        self.delay = delay
        self._rng = np.random.default_rng(seed)
        self._seq = 0
        self._offsets: dict[Stream, int] = {}
        self._champion = "v1"
        self._shadow: str | None = None
        self._waiting: list[Outcome] = []
        self.broke = n // 2

    def records(self) -> Iterator[Record]:
        """The whole run, from `start` to `end`."""
        start = Control(command="start", time=START, details={"mode": "replay"})
        yield self._record(CONTROL, start)
        for i in range(self.n):
            yield from self._event(i)
            yield from self._happenings(i)
            self._seq += 1
        for outcome in self._waiting:
            yield self._record(OUTCOMES, outcome)
        yield self._record(CONTROL, Control(command="end", time=self._time(self.n)))

    def _record(self, stream: Stream, value: Any) -> Record:
        offset = self._offsets.get(stream, 0)
        self._offsets[stream] = offset + 1
        return Record(stream, value, None, 0, offset, self._seq)

    def _time(self, i: int) -> datetime:
        return START + STEP * i

    def _event(self, i: int) -> Iterator[Record]:
        x = self._rng.normal(size=3)
        broken = i >= self.broke
        if not broken:
            x[2] = 0.42
        score = x[0] * (-0.4 if broken else 1.0) + x[1] * 0.8 + (x[2] if broken else 0.0)
        label = int(score + 0.45 * self._rng.normal() > 0)
        good = 0.93 if not broken or self._champion != "v1" else 0.78
        said = label if self._rng.random() < good else 1 - label
        shadow = None
        if self._shadow is not None:
            other = label if self._rng.random() < 0.92 else 1 - label
            shadow = {self._shadow: {"prediction": other, "probabilities": _odds(other)}}
        names = ("nswprice", "nswdemand", "vicprice")
        prediction = Prediction(
            id=f"e{i}",
            time=self._time(i),
            prediction=said,
            model=self._champion,
            features=dict(zip(names, x.tolist(), strict=True)),
            feature_set="f1",
            probabilities=_odds(said),
            shadow=shadow,
        )
        yield self._record(PREDICTIONS, prediction)
        self._waiting.append(
            Outcome(
                **{name: getattr(prediction, name) for name in Prediction.__struct_fields__},
                label=label,
                labelled_at=self._time(i + self.delay),
            )
        )
        if len(self._waiting) > self.delay:
            yield self._record(OUTCOMES, self._waiting.pop(0))

    def _happenings(self, i: int) -> Iterator[Record]:
        if i == 0:
            yield self._model("v1", "champion", i, "the pool that starts from nothing", "learner")
        if i % 97 == 50:
            yield self._bad(i)
        if i == self.broke // 2:
            yield self._alert(i, "input_drift", "evidence", "open", "alert-0001")
        scale = self.n / 6_000
        after = i - self.broke
        if after == 60:
            yield self._alert(i, "source_break", "page", "open", "alert-0002")
        if i % 200 == 199:
            yield self._audit(i, skewed=i == self.broke // 200 * 200 + 399)
        if after == int(1_300 * scale):
            yield self._alert(i, "source_break", "page", "resolved", "alert-0002")
        yield from self._retraining(
            i, {int(at * scale): what for at, what in _PLAN.items()}.get(after)
        )

    def _retraining(self, i: int, what: str | None) -> Iterator[Record]:
        if what == "ask":
            yield self._job(i, "job-0001", "requested", "alert alert-0002: source break")
            yield self._job(i, "job-0001", "running", "fitting")
        elif what == "accept":
            yield self._job(i, "job-0001", "trained", "3 candidates fitted")
            yield self._job(i, "job-0001", "accepted", "better by .05 on 400 rows held back")
            self._shadow = "v2"
            yield self._model("v2", "shadow", i, "accepted offline", "trainer")
        elif what == "swap":
            yield self._model("v2", "champion", i, "better on 512 pairs", "judge")
            self._champion, self._shadow = "v2", "v1"
        elif what == "refuse":
            why = "the best candidate, boosting, is no better than the champion: gain .001 ± .006"
            yield self._job(i, "job-0002", "rejected", why)
        elif what is not None:
            yield self._job(i, what, "requested", "2,000 new outcomes")

    def _model(self, name: str, state: Any, i: int, reason: str, by: str) -> Record:
        event = ModelEvent(
            model=name,
            state=state,
            time=self._time(i),
            outcomes=i,
            reason=reason,
            by=by,
            parent=None if name == "v1" else "v1",
            job=None if name == "v1" else "job-0001",
            evidence={"pairs": 512, "mean_gain": 0.081, "e_value": 34.2} if by == "judge" else {},
        )
        return self._record(MODELS, event)

    def _alert(self, i: int, cause: Any, severity: Any, state: Any, name: str) -> Record:
        alert = Alert(
            alert=name,
            kind="went_live",
            cause=cause,
            severity=severity,
            state=state,
            since=self._time(self.broke if severity == "page" else i - 100),
            time=self._time(i),
            series="inputs",
            features=[
                RankedFeature("vicprice", 812.5, "constant for 3,000 events, then moving"),
                RankedFeature("nswdemand", 14.1, "distribution moved"),
            ],
            evidence={"expected_run_length": 100_000, "evidence": 240_112.7},
            runbook="Ask the owner of the source whether vicprice changed its meaning on that day.",
            text="vicprice was constant for 3,000 events and has been moving since.",
        )
        return self._record(ALERTS, alert)

    def _audit(self, i: int, skewed: bool) -> Record:
        row = AuditedFeature(
            "vicprice", mismatch=12, missing=3, extra=1, id=HOSTILE, served=0.42, expected=0.5
        )
        audit = Audit(
            start=self._time(i - 199), end=self._time(i), compared=48,
            features=[row] if skewed else [], feature_set="f1",
        )  # fmt: skip
        return self._record(AUDITS, audit)

    def _job(self, i: int, name: str, state: Any, reason: str) -> Record:
        board = [
            {"candidate": "boosting", "accuracy": 0.921, "low": 0.9, "high": 0.94, "rows": 1_600},
            {"candidate": "logistic", "accuracy": 0.883, "low": 0.86, "high": 0.9, "rows": 1_600},
            {"candidate": "champion", "accuracy": 0.871, "low": 0.85, "high": 0.89, "rows": 400},
        ]
        done = state in ("accepted", "rejected")
        job = Job(
            job=name,
            state=state,
            reason=reason,
            trigger="drift" if name == "job-0001" else "volume",
            time=self._time(i),
            start=max(0, i - 2_000),
            end=i,
            effective=i + int(200 * self.n / 6_000) if state == "requested" else None,
            model=f"v{int(name[-1]) + 1}",
            evidence={"board": board, "held_back_rows": 400, "verdict": state} if done else {},
        )
        return self._record(JOBS, job)

    def _bad(self, i: int) -> Record:
        garbage = i % 2 == 0
        raw = b"\xff\xfe{not json" if garbage else b'{"id": "' + HOSTILE.encode() + b'"}'
        bad = Rejected(
            reason="not JSON: invalid byte at 0" if garbage else f"the id {HOSTILE} is taken",
            check="json" if garbage else "duplicate",
            field=None if garbage else "id",
            raw=b64encode(raw).decode(),
            topic="electricity.events",
            partition=0,
            offset=i,
        )
        return self._record(REJECTED, bad)


def _odds(said: int) -> dict[str, float]:
    return {"0": 0.9, "1": 0.1} if said == 0 else {"0": 0.1, "1": 0.9}
