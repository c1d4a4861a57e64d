"""What each retraining really gained, at what price: the last record of a job."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from services.judge.standing import GAIN
from shared.messages.types import Job, ModelEvent
from shared.problem.spec import Problem
from shared.registry.decisions import Sign, sealed
from shared.registry.gains import told

KEPT = 200
"""Newest settled jobs that are remembered, so that an old record played again settles nothing twice."""
ENDS = ("rejected", "retired")
ENTRY = "accounts"


class _Open(msgspec.Struct):
    """An account that waits: for its job's verdict, or for what came of its version (`closed`)."""

    job: Job | None = None
    reigned: bool = False
    closed: datetime | None = None
    gain: dict[str, Any] | None = None


class _State(msgspec.Struct):
    open: dict[str, _Open] = {}
    settled: list[str] = []


class Accounts:
    """Folds verdicts on jobs and steps of versions into one `settled` record a job.

    Rejected and failed jobs gained nothing. A version that never became champion neither; one that did
    gained what it saved over the champion before it while both answered. Verdicts and steps may come in
    either order (they are different streams): an account is closed by the later one.
    """

    def __init__(self, problem: Problem, sign: Sign) -> None:
        self._metric = problem.metric
        self._price = problem.retraining.price
        self._horizon = problem.promotion.watch_after
        self._sign = sign
        self._state = _State()
        self._moved = False

    def verdict(self, job: Job) -> Iterator[Job]:
        """One record of a job."""
        state = self._state
        if job.job in state.settled:
            return
        self._moved = True
        if job.state == "settled":
            self._forget(job)
        elif job.state in ("rejected", "failed"):
            yield self._settled(job, job.time, None)
        elif job.state == "accepted" and job.model:
            seconds = job.evidence.get("fit_seconds")
            kept = {} if seconds is None else {"fit_seconds": seconds}
            account = state.open.setdefault(job.model, _Open())
            account.job = msgspec.structs.replace(job, evidence=kept, signature=None)
            yield from self._close(job.model)

    def step(self, event: ModelEvent, gain: Mapping[str, Any] | None = None) -> Iterator[Job]:
        """One step of a version that happened; `gain`: that of the champion that it watched, where the
        record does not say it.
        """
        if event.state == "snapshot":
            return
        self._moved = True
        found = gain or event.evidence.get(GAIN)
        if isinstance(found, Mapping) and "version" in found:
            yield from self._ended(str(found["version"]), event.time, dict(found))
        account = self._state.open.get(event.model)
        if event.state == "shadow" and event.job:
            self._state.open.setdefault(event.model, _Open())
        elif account is not None and event.state == "champion":
            account.reigned = True
        elif account is not None and event.state in ENDS and not account.reigned:
            yield from self._ended(event.model, event.time, None)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One small entry, if anything moved."""
        if self._moved:
            self._moved = False
            yield ENTRY, msgspec.msgpack.encode(self._state)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See the stage port."""
        if ENTRY in entries:
            self._state = msgspec.msgpack.decode(entries[ENTRY], type=_State)

    def _ended(self, version: str, at: datetime, gain: dict[str, Any] | None) -> Iterator[Job]:
        account = self._state.open.get(version)
        if account is not None and account.closed is None:
            account.closed, account.gain = at, gain
            yield from self._close(version)

    def _close(self, version: str) -> Iterator[Job]:
        account = self._state.open[version]
        if account.job is not None and account.closed is not None:
            yield self._settled(account.job, account.closed, account.gain)

    def _settled(self, job: Job, at: datetime, gain: Mapping[str, Any] | None) -> Job:
        """The record. `net` is what was gained less the price, where both are known."""
        gained: float | None = 0.0 if gain is None else gain["saved"]
        price = self._price
        account = {
            "verdict": job.state,
            "metric": self._metric,
            "gained": gained,
            **({} if gain is None else {k: v for k, v in gain.items() if k not in _ELSEWHERE}),
            "horizon": self._horizon,
            "price": price,
            "net": None if gained is None or price is None else gained - price,
            "fit_seconds": job.evidence.get("fit_seconds"),
        }
        self._forget(job)
        settled = msgspec.structs.replace(
            job, state="settled", time=at, reason=told(account), evidence=account, signature=None
        )
        return sealed(settled, self._sign)

    def _forget(self, job: Job) -> None:
        self._state.open.pop(job.model or "", None)
        self._state.settled = [*self._state.settled[1 - KEPT :], job.job]


_ELSEWHERE = ("version", "metric", "horizon", "saved")
