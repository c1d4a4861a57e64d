"""Scoring over HTTP: `POST /v1/score`. The event goes onto the log like any other; the answer is the
very prediction record that the log got for it, or the reject with its reason.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from anyio import to_thread
from fastapi import APIRouter, HTTPException, Request, Response

from services.console.waiters import Answer, Ticket, Waiters
from shared.errors import HeadraceError
from shared.messages.cloudevents import CONTENT_TYPE
from shared.messages.types import Rejected
from shared.problem.naming import event_id
from shared.problem.spec import Problem
from shared.runtime.inbox import Busy
from shared.runtime.intake import Document, documents

Accept = Callable[[Sequence[Document]], None]
"""Puts events on the log; returns when they are committed."""

MOST_EVENTS = 1_000
TIMEOUT_S = 10.0
_GRACE_S = 1.0
"""An id that was there before: its first prediction may be on its way."""
_LATER = {"Retry-After": "1"}
_IDEMPOTENCY = "idempotency-key"


@dataclass(frozen=True)
class _Desk:
    problem: Problem
    accept: Accept
    waiters: Waiters
    timeout_s: float


def scoring(
    problem: Problem,
    accept: Accept,
    waiters: Waiters,
    token: str | None = None,
    timeout_s: float = TIMEOUT_S,
    most_events: int = MOST_EVENTS,
) -> APIRouter:
    """The route. `token`: what `Authorization: Bearer …` must carry; None: nothing.

    One event (plain JSON or a CloudEvent) is answered with its prediction (200) or its reject (422;
    409 when the id was there before and its prediction is not remembered). A list is answered with a
    list of `{"status", "record"}` in its order. An id that comes again gets the first prediction,
    whatever else the event says. Events without an id of their own are named after the header
    `Idempotency-Key`, or by chance.
    """
    router = APIRouter()
    desk = _Desk(problem, accept, waiters, timeout_s)

    @router.post("/v1/score")
    async def score(request: Request) -> Response:
        """One event, a JSON array of them, JSON lines, or CloudEvents."""
        found, is_list = await documents(request, token)
        if len(found) > most_events:
            raise HTTPException(413, f"A request holds at most {most_events} events; send parts.")
        key = request.headers.get(_IDEMPOTENCY) or secrets.token_hex(16)
        found = [_named(d, f"{key}.{i}", problem) for i, d in enumerate(found)]
        answers = await _scored(desk, found, key)
        if not is_list:
            status, record = answers[0]
            return _json(record, status)
        return _json([{"status": status, "record": record} for status, record in answers], 200)

    return router


def _named(document: Document, name: str, problem: Problem) -> Document:
    """The event with an id, where the problem file maps none and it brings none along."""
    if problem.events.id is not None or document.headers:
        return document
    attributes = {"specversion": "1.0", "id": name, "source": "/v1/score", "type": "event"}
    headers = {f"ce_{key}": text.encode() for key, text in attributes.items()}
    return Document(document.value, {**headers, CONTENT_TYPE: b"application/json"})


async def _scored(desk: _Desk, found: list[Document], key: str) -> list[tuple[int, Answer]]:
    tickets: list[Ticket] = []
    try:
        async with asyncio.timeout(desk.timeout_s):
            await _handed_in(desk, found, tickets)
            answers = [await asyncio.shield(asyncio.wrap_future(t.answer)) for t in tickets]
        return [await _with_status(desk, *pair) for pair in zip(tickets, answers, strict=True)]
    except TimeoutError as error:
        raise _too_late(desk, len(found), key) from error
    except HeadraceError as error:
        raise _refused(error) from error
    finally:
        for ticket in tickets:
            desk.waiters.leave(ticket)


async def _handed_in(desk: _Desk, found: list[Document], tickets: list[Ticket]) -> None:
    """Take a ticket for each event, and put those on the log that are not there yet."""
    fresh: list[tuple[Ticket, Document]] = []
    try:
        for document in found:
            name = event_id(document.value, document.headers, desk.problem)
            ticket, is_fresh = desk.waiters.expect(name, document.value)
            tickets.append(ticket)
            if is_fresh:
                fresh.append((ticket, document))
        if fresh:
            new = [document for _, document in fresh]
            await to_thread.run_sync(desk.accept, new, abandon_on_cancel=True)
    except HeadraceError as error:
        for ticket, _ in fresh:
            desk.waiters.fail(ticket, error)
        raise


async def _with_status(desk: _Desk, ticket: Ticket, answer: Answer) -> tuple[int, Answer]:
    if not isinstance(answer, Rejected):
        return 200, answer
    if answer.check != "duplicate":
        return 422, answer
    await asyncio.sleep(_GRACE_S)
    said = desk.waiters.known(ticket.name)
    return (409, answer) if said is None else (200, said)


def _refused(error: HeadraceError) -> HTTPException:
    if isinstance(error, Busy):
        return HTTPException(429, f"Nothing was taken: {error}.", _LATER)
    return HTTPException(503, f"Not written, send it again: {error}", _LATER)


def _too_late(desk: _Desk, count: int, key: str) -> HTTPException:
    text = (
        f"Not all of {count} events have a prediction after {desk.timeout_s:g} s. They may be scored "
        "later: send the same request again, what is on the log already is not scored twice"
    )
    if desk.problem.events.id is None:
        text += f", with the header `Idempotency-Key: {key}`"
    return HTTPException(504, f"{text}. `headrace status` shows what lags.", _LATER)


def _json(value: Any, status: int) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
