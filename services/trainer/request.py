"""What a fit is given, and what it gives back: plain data, so that it can run anywhere."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from shared.messages.codec import decode
from shared.messages.streams import OUTCOMES
from shared.messages.types import Job, Outcome, Value


class FitRequest(msgspec.Struct, kw_only=True):
    """Everything that decides a result.

    `problem` is the problem file as JSON, `features` the column order of the model, `outcomes` the
    rows `job.start` to `job.end` of the log, as JSON: only the process that fits decodes them.
    `n_base` experts and `n_members` of a stacker have spoken in each of them (`shared/models/said.py`).
    `libraries` and `code` say what runs the fit; they only go into the manifest.
    """

    job: Job
    version: str
    problem: str
    features: list[str]
    outcomes: list[bytes]
    n_base: int
    n_members: int
    libraries: dict[str, str] = {}
    code: str = ""


def rows_of(outcomes: Sequence[bytes]) -> list[Outcome]:
    """The outcomes of a request, decoded."""
    return [decode(OUTCOMES, data) for data in outcomes]


class FitResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A job's answer. The same request gives the same bytes, but for fields named `*_seconds`.

    `board` is the evidence. `artefact` (served arrays), `estimator` (the library's object, for export)
    and `manifest` (unsigned) are there when `state` is `accepted`. `parent` is the champion that it was
    compared with.
    """

    state: Literal["accepted", "rejected", "failed"]
    reason: str
    summary: str = ""
    board: dict[str, Any] = {}
    parent: str | None = None
    classes: list[Value] = []
    artefact: bytes | None = None
    estimator: bytes | None = None
    manifest: dict[str, Any] | None = None


def failed(reason: str) -> FitResult:
    """A job that gave nothing, and why."""
    return FitResult(state="failed", reason=reason)


class Task(msgspec.Struct, kw_only=True):
    """One fit for the worker process: paths, and limits that fail a job visibly.

    `job` is the name of the result's file, `name` the job's own.
    """

    job: str
    name: str
    request: str
    result: str
    log: str
    seconds: float
    memory_mb: int


class Answer(msgspec.Struct, kw_only=True):
    """The worker's line: `job` is done (empty: the worker is ready); its CPU seconds so far.

    `error`: the result could not be written down.
    """

    cpu_seconds: float
    job: str = ""
    error: str = ""
