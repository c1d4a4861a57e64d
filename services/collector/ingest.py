"""HTTP ingest. `POST /events`, `/labels`, `/references`: an answer of 202 means on the log, durably."""

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from services.collector.admission import Append, Full, Queue
from services.collector.bodies import events_of, labels_of, references_of
from services.collector.replay import Arrival
from shared.errors import HeadraceError, Reject
from shared.problem.spec import Problem
from shared.runtime.clock import now
from shared.runtime.intake import MOST_BODY_BYTES, documents

MOST_WAITING = 20_000
"""Arrivals that may wait for their commit; more are answered with 429."""
RETRY_AFTER_S = 1


def ingest(
    problem: Problem,
    append: Append,
    token: str | None = None,
    most_waiting: int = MOST_WAITING,
    most_body_bytes: int = MOST_BODY_BYTES,
    clock: Callable[[], datetime] = now,
) -> APIRouter:
    """The three routes. `token`: what `Authorization: Bearer …` must carry; None: nothing.

    Events are taken whatever they are: what is no event ends in `rejected`, with the reason. Labels
    and references are taken all or none: a request that holds something else is answered with 400.
    """
    router = APIRouter()
    queue = Queue(append, most_waiting)

    @router.post("/events", status_code=202)
    async def events(request: Request) -> dict[str, int]:
        """One JSON object, a JSON array of them, JSON lines, or CloudEvents."""
        found, _ = await documents(request, token, most_body_bytes)
        return await _put(queue, events_of(found, problem, clock()))

    @router.post("/labels", status_code=202)
    async def labels(request: Request) -> dict[str, int]:
        """`{"id", "label", "time"?, "source"?, "revoked"?}`: one, an array, or JSON lines."""
        found, _ = await documents(request, token, most_body_bytes)
        try:
            labels = labels_of(found, clock())
        except Reject as why:
            raise HTTPException(400, why.reason) from why
        return await _put(queue, labels)

    @router.post("/references", status_code=202)
    async def references(request: Request) -> dict[str, int]:
        """`{"reference", "key", "fields", "time"?, "removed"?}`: one, an array, or JSON lines."""
        found, _ = await documents(request, token, most_body_bytes)
        try:
            references = references_of(found, problem, clock())
        except Reject as why:
            raise HTTPException(400, why.reason) from why
        return await _put(queue, references)

    return router


async def _put(queue: Queue, arrivals: list[Arrival]) -> dict[str, int]:
    later = {"Retry-After": str(RETRY_AFTER_S)}
    try:
        await run_in_threadpool(queue.put, arrivals)
    except Full as error:
        text = "Too much waits to be written. Nothing of this request was taken: send it again."
        raise HTTPException(429, text, later) from error
    except HeadraceError as error:
        raise HTTPException(503, f"Not written, send it again: {error}", later) from error
    return {"accepted": len(arrivals)}
