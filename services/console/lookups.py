"""Lookups in the online view over HTTP: `/v1/entities/{key}` and `/v1/predictions/{id}`.

Every answer says of which moment it is. While the view is being built nothing is found in it: an
older value is never given for the newest. What is not in the view is *missing* (404), not zero.
"""

import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, HTTPException, Response
from starlette.concurrency import run_in_threadpool

from shared.errors import HeadraceError
from shared.messages.codec import decode
from shared.messages.streams import PREDICTIONS
from shared.messages.types import Prediction
from shared.online.port import Kind, Online, State
from shared.runtime.clock import now

CURRENT_S = 5.0
"""How old a view may be and still say `current`."""
_RETRY_AFTER = {"Retry-After": "2"}


def lookups(
    store: Online, token: str | None = None, clock: Callable[[], datetime] = now
) -> APIRouter:
    """The two routes. `token`: what `Authorization: Bearer …` must carry; None: nothing."""
    router = APIRouter(prefix="/v1")

    @router.get("/entities/{key:path}")
    async def entity(key: str, authorization: Annotated[str | None, Header()] = None) -> Response:
        """The newest features of an entity, and the newest prediction for it."""
        _authorise(authorization, token)
        return await _answer(store, "entity", key, clock)

    @router.get("/predictions/{name:path}")
    async def prediction(
        name: str, authorization: Annotated[str | None, Header()] = None
    ) -> Response:
        """The last prediction of an event id."""
        _authorise(authorization, token)
        return await _answer(store, "prediction", name, clock)

    return router


async def _answer(store: Online, kind: Kind, key: str, clock: Callable[[], datetime]) -> Response:
    try:
        found, state = await run_in_threadpool(store.get, kind, key)
    except HeadraceError as error:
        text = f"The online view cannot be asked: {error}"
        raise HTTPException(503, text, _RETRY_AFTER) from error
    view = _view(state, clock())
    if found is None or view["state"] == "building":
        body = {"missing": key, "reason": _reason(view), "view": view}
        return _json(body, 404)
    value, position = found
    message: Prediction = decode(PREDICTIONS, value)
    return _json(_said(kind, message) | {"position": position, "view": view}, 200)


def _said(kind: Kind, message: Prediction) -> dict[str, Any]:
    """A prediction without what only learning needs; for an entity its features come first."""
    message.said = message.arrival = None
    fields: dict[str, Any] = msgspec.to_builtins(message)
    if kind == "prediction":
        return {"id": message.id, "prediction": fields}
    features = {name: fields.pop(name) for name in ("features", "feature_set", "time")}
    return {"key": message.key, **features, "prediction": fields}


def _view(state: State | None, at: datetime) -> dict[str, Any]:
    """How far the view is: `as_of`, everything committed by then is in it."""
    if state is None or state.at_ms is None:
        positions = {} if state is None else _positions(state)
        return {"state": "building", "as_of": None, "age_s": None, "positions": positions}
    as_of = datetime.fromtimestamp(state.at_ms / 1000, UTC)
    age_s = max(0.0, (at - as_of).total_seconds())
    return {
        "state": "current" if age_s < CURRENT_S else "behind",
        "as_of": as_of.isoformat().replace("+00:00", "Z"),
        "age_s": round(age_s, 3),
        "positions": _positions(state),
    }


def _positions(state: State) -> Mapping[str, int]:
    return {name: there.next for name, there in state.places.items()}


def _reason(view: Mapping[str, Any]) -> str:
    if view["state"] == "building":
        return "The view is being built from the log; ask again in a moment."
    if view["state"] == "behind":
        return "Not in the view, which is behind: it may be there by now."
    return "Not in the view: never seen, or forgotten by age."


def _json(body: Mapping[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _authorise(authorization: str | None, token: str | None) -> None:
    given = (authorization or "").removeprefix("Bearer ")
    if token is not None and not hmac.compare_digest(given.encode(), token.encode()):
        raise HTTPException(
            401, "Send the header Authorization: Bearer with the token of HEADRACE_API_TOKEN."
        )
