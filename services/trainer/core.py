"""Requested jobs in; their results, at their place in the stream, out."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from shared.messages.streams import JOBS, MODELS, OUTCOMES
from shared.messages.types import Control, Job, ModelEvent
from shared.problem.spec import Problem
from shared.registry.decisions import sealed
from shared.stage import Out, Record, Tools


class _State(msgspec.Struct):
    outcomes: int = 0
    mode: Literal["replay", "live"] = "replay"
    pending: dict[str, Job] = {}
    newest: int = 0
    looked: list[tuple[datetime, datetime]] = []


LOOKS_KEPT = 100
"""Newest jobs whose hold-back parts are remembered."""


class Trainer:
    """Keeps the jobs under way and lets each result take effect at one place in the stream.

    In a replay that place is declared: after outcome number `job.effective` was folded (the stage
    waits there for the result). Live it is where the control record `trained` of that job stands. A job
    that is under way at `end` is not waited for; it takes effect if outcomes go on later.
    """

    def __init__(self, problem: Problem, tools: Tools) -> None:
        self._tools = tools
        self._state = _State()

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """Fold; see the class."""
        for record in records:
            if record.stream is OUTCOMES:
                self._state.outcomes += 1
                if self._state.pending:
                    at = record.value.labelled_at or record.value.time
                    yield from self._due(record, at)
            elif record.stream is JOBS:
                yield from self._job(record)
            else:
                yield from self._control(record)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One small entry: the count, the mode, the jobs under way."""
        yield "state", msgspec.msgpack.encode(self._state)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        self._state = msgspec.msgpack.decode(entries["state"], type=_State)

    def _job(self, record: Record) -> Iterator[Out]:
        job: Job = record.value
        if job.state == "cancelled":
            self._state.pending.pop(job.job, None)
        number = _number(job)
        if job.state != "requested" or 0 < number <= self._state.newest:
            return  # a second scheduler asks for the same jobs by the same names
        self._state.newest = number
        self._state.pending[job.job] = job
        yield Out(JOBS, _step(job, "running", job.time, self._taken_up(job)), record, job.job)
        yield from self._due(record, job.time)

    def _taken_up(self, job: Job) -> str:
        where = f"outcomes {job.start:,} to {job.end:,}"
        if self._state.mode == "replay" and job.effective is not None:
            return f"fitting on {where}; the result takes effect after outcome {job.effective:,}"
        return f"fitting on {where}"

    def _due(self, record: Record, at: datetime) -> Iterator[Out]:
        if self._state.mode == "live":
            return
        for job in list(self._state.pending.values()):
            if (job.effective or job.end) <= self._state.outcomes:
                yield from self._conclude(job, record, at)

    def _control(self, record: Record) -> Iterator[Out]:
        control: Control = record.value
        if control.command == "start":
            self._state.mode = "live" if control.details.get("mode") == "live" else "replay"
        elif control.command == "trained" and self._state.mode == "live":
            job = self._state.pending.get(control.target or "")
            if job is not None:
                yield from self._conclude(job, record, control.time)
        elif control.command == "cancel":
            job = self._state.pending.pop(control.target or "", None)
            if job is not None:
                by, why = control.by or "an operator", control.reason or "no reason given"
                why = f"cancelled by {by}: {why}"
                yield Out(JOBS, _step(job, "cancelled", control.time, why), record, job.job)

    def _conclude(self, job: Job, record: Record, at: datetime) -> Iterator[Out]:
        """The job's last records and, if it was accepted, the new version as a shadow."""
        result = self._tools.training.result(job)
        del self._state.pending[job.job]
        board = self._with_looks(result.get("board") or {})
        if result["state"] == "failed":
            failed = _step(job, "failed", at, result["reason"], board)
            yield Out(JOBS, sealed(failed, self._tools.signed), record, job.job)
            return
        yield Out(JOBS, _step(job, "trained", at, result["summary"]), record, job.job)
        done = _step(job, result["state"], at, result["reason"], board)
        yield Out(JOBS, sealed(done, self._tools.signed), record, job.job)
        if result["state"] == "accepted":
            shadow = sealed(self._shadow(job, result, at), self._tools.signed)
            yield Out(MODELS, shadow, record, version_of(job))

    def _with_looks(self, board: dict[str, Any]) -> dict[str, Any]:
        """The evidence, with how many jobs have looked at any of the rows held back, this one included:
        each look makes it likelier that a candidate is good there by chance.
        """
        rows = board.get("rows") or {}
        if "held_first" not in rows:
            return board
        first, last = (datetime.fromisoformat(rows[f"held_{end}"]) for end in ("first", "last"))
        before = self._state.looked
        looks = 1 + sum(one <= last and first <= other for one, other in before)
        self._state.looked = [*before, (first, last)][-LOOKS_KEPT:]
        return {**board, "rows": {**rows, "looks": looks}}

    def _shadow(self, job: Job, result: Mapping[str, Any], at: datetime) -> ModelEvent:
        blob = self._tools.blobs.put(result["artefact"])
        if result.get("estimator"):
            self._tools.blobs.put(result["estimator"])
        return ModelEvent(
            model=version_of(job),
            state="shadow",
            time=at,
            outcomes=self._state.outcomes,
            blob=blob,
            parent=result.get("parent"),
            job=job.job,
            reason=result["reason"],
            by="trainer",
            champion=result.get("parent"),
            classes=list(result.get("classes") or []),
            evidence={**result["manifest"]["metrics"]},
            manifest=self._tools.signed(result["manifest"]),
        )


def version_of(job: Job) -> str:
    """The version that `job` makes: `job-0001` makes `v2`, since `v1` is the pool from nothing."""
    return job.model or f"v{max(_number(job), 1) + 1}"


def _number(job: Job) -> int:
    """Jobs are counted from 1; 0: the name says none."""
    number = re.search(r"(\d+)$", job.job)
    return int(number[1]) if number else 0


def _step(
    job: Job,
    state: Literal["running", "trained", "accepted", "rejected", "failed", "cancelled"],
    at: datetime,
    reason: str,
    evidence: dict[str, Any] | None = None,
) -> Job:
    return msgspec.structs.replace(
        job, state=state, time=at, reason=reason, model=version_of(job), evidence=evidence or {}
    )
