"""The page on loopback: HTML, server-sent events, JSON twins, metrics, operators' commands.

Nothing here holds state of its own: every answer is made from the newest whole view (`Pane`).
"""

import hmac
import secrets
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args
from urllib.parse import parse_qs

import msgspec
from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console.card import card_page
from services.console.data import NEWEST, Asked, DataPage, data_page
from services.console.live import Frames, changes
from services.console.measures import Measures
from services.console.pages import STATIC, Pages, said
from services.console.pane import Pane
from services.console.snapshot import View
from shared.errors import HeadraceError
from shared.messages.types import Control
from shared.problem.spec import Problem
from shared.runtime.clock import now

Submit = Callable[[Control], None]
Verb = Literal["promote", "reject", "rollback", "retrain", "cancel", "acknowledge", "resolve"]

HOSTS = ("127.0.0.1", "localhost")
MOST_BYTES = 16_384
STALLED_S = 60.0
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
CARD_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)
"""For a page that brings its own style, and runs nothing."""
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def make_app(
    pane: Pane,
    problem: Problem,
    submit: Submit,
    hosts: tuple[str, ...] = HOSTS,
    registry: CollectorRegistry | None = None,
) -> FastAPI:
    """The page's app over `pane`; `submit` puts an operator's record on the log, or raises.

    `registry`: where the process keeps its own metrics; the run's are shown with them.

    Serve it on loopback only. A request that names another host is refused (DNS rebinding), and a
    command needs the page's token or a header that no other site can send.
    """
    token = secrets.token_urlsafe(24)
    app = FastAPI(title=f"Headrace: {problem.name}", docs_url=None, redoc_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_middleware(_WithHeaders)
    pages = Pages(problem, token)
    _show(app, pane, Frames(pane, pages), pages)
    _cards(app, pane, problem)
    _data(app, pane, pages, problem)
    _twins(app, pane)
    _health(app, pane, problem, registry or CollectorRegistry())
    _commands(app, pane, submit, token)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


class _WithHeaders:
    """ASGI middleware: the security headers on every answer, also on streams."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cache = "no-cache" if scope.get("path", "").startswith("/static/") else "no-store"

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", cache)
            await send(message)

        await self._app(scope, receive, send_with)


def _seen(pane: Pane) -> View:
    view = pane.view()
    if view is None:
        raise HTTPException(503, "the run has not begun; try again in a moment")
    return view


def _show(app: FastAPI, pane: Pane, frames: Frames, pages: Pages) -> None:
    @app.get("/", response_class=HTMLResponse)
    def page(request: Request) -> str:
        return pages.page(_seen(pane), request.url.netloc)

    @app.get("/label", response_class=HTMLResponse)
    def label(request: Request) -> str:
        return pages.label(_seen(pane), request.url.netloc)

    @app.get("/live")
    def live(request: Request) -> StreamingResponse:
        stream = changes(request, pane, frames)
        return StreamingResponse(stream, media_type="text/event-stream")


def _cards(app: FastAPI, pane: Pane, problem: Problem) -> None:
    @app.get("/models/{version}/card", response_class=HTMLResponse)
    def card(version: str) -> HTMLResponse:
        facts = _seen(pane).cards.get(version)
        if facts is None:
            raise HTTPException(404, f"there is no version {version}")
        return HTMLResponse(
            card_page(problem, facts), headers={"Content-Security-Policy": CARD_POLICY}
        )


def _data(app: FastAPI, pane: Pane, pages: Pages, problem: Problem) -> None:
    def made(asked: Asked) -> DataPage:
        view = _seen(pane)
        return data_page(
            view.profiles, view.references, view.champion, problem, asked, view.fields
        )

    @app.get("/data", response_class=HTMLResponse)
    def data(source: str = "", span: str = NEWEST, model: str = "") -> str:
        asked = Asked(source, span, model)
        return pages.data(made(asked), asked, whole=True)

    @app.get("/data/now", response_class=HTMLResponse)
    def data_now(source: str = "", span: str = NEWEST, model: str = "") -> str:
        asked = Asked(source, span, model)
        return pages.data(made(asked), asked, whole=False)

    @app.get("/api/data")
    def data_twin(source: str = "", span: str = NEWEST, model: str = "") -> Response:
        body = msgspec.json.encode(made(Asked(source, span, model)))
        return Response(body, media_type="application/json")


def _twins(app: FastAPI, pane: Pane) -> None:
    """Everything on the page as JSON."""
    parts: dict[str, Callable[[View], Any]] = {
        "summary": lambda view: view.summary,
        "figures": lambda view: view.figures,
        "scores": lambda view: view.scores,
        "series": lambda view: view.chart,
        "alerts": lambda view: view.summary["alerts"],
        "jobs": lambda view: view.summary["jobs"],
        "models": lambda view: view.models,
        "swaps": lambda view: view.summary["swaps"],
        "coverage": lambda view: view.summary["coverage"],
        "audit": lambda view: view.summary["audit"],
        "label_requests": lambda view: view.wanted,
        "rejected": lambda view: {"groups": view.groups, "newest": view.rejected},
    }

    @app.get("/api/{part}")
    def twin(part: str) -> Response:
        if part not in parts:
            raise HTTPException(404, f"no such part; there are: {', '.join(parts)}")
        body = msgspec.json.encode(parts[part](_seen(pane)))
        return Response(body, media_type="application/json")


def _health(app: FastAPI, pane: Pane, problem: Problem, registry: CollectorRegistry) -> None:
    registry.register(Measures(problem, lambda: pane.view(wait_s=0)))

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/livez", response_class=PlainTextResponse)
    def livez() -> str:
        """The page answers and the loop has turned lately."""
        if STALLED_S < pane.age_s < float("inf"):
            raise HTTPException(503, f"the loop has not turned for {pane.age_s:.0f} s")
        return "ok"

    @app.get("/readyz", response_class=PlainTextResponse)
    def readyz() -> str:
        """There is a board to show."""
        if pane.view(wait_s=0) is None:
            raise HTTPException(503, "the run has not begun")
        return "ok"


def _commands(app: FastAPI, pane: Pane, submit: Submit, token: str) -> None:
    @app.post("/control")
    async def form(request: Request) -> HTMLResponse:
        """A command from the page's form; it carries the page's token."""
        fields = {k: v[-1] for k, v in parse_qs((await _body(request)).decode()).items()}
        if not hmac.compare_digest(fields.get("token", ""), token):
            raise HTTPException(403, "the page is from an earlier run: reload it")
        control = _control(fields.get("command", ""), fields.get("target"), fields.get("reason"))
        try:
            text = await run_in_threadpool(_submitted, pane, submit, control)
        except HTTPException as refusal:
            return HTMLResponse(said("bad", refusal.detail), refusal.status_code)
        return HTMLResponse(said("good", text), 202)

    @app.post("/api/control")
    async def api(
        request: Request, x_headrace: Annotated[str | None, Header()] = None
    ) -> PlainTextResponse:
        """A command as JSON. The header cannot be set by another site's page without our consent."""
        if x_headrace is None or request.headers.get("content-type") != "application/json":
            raise HTTPException(403, "send JSON with the header x-headrace")
        try:
            control = msgspec.json.decode(await _body(request), type=Control)
        except msgspec.DecodeError as error:
            raise HTTPException(400, f"not a control record: {error}") from error
        checked = _control(control.command, control.target, control.reason)
        checked.by = control.by or checked.by
        text = await run_in_threadpool(_submitted, pane, submit, checked)
        return PlainTextResponse(text, 202)


async def _body(request: Request) -> bytes:
    """The body, if it comes from our own page and is small."""
    origin = request.headers.get("origin")
    if origin is not None and origin != f"{request.url.scheme}://{request.url.netloc}":
        raise HTTPException(403, "commands are taken from this page only")
    if int(request.headers.get("content-length") or MOST_BYTES + 1) > MOST_BYTES:
        raise HTTPException(413, f"a command has at most {MOST_BYTES} bytes")
    return await request.body()


def _control(command: str, target: str | None, reason: str | None) -> Control:
    if command not in get_args(Verb):
        raise HTTPException(400, f"no such command; there are: {', '.join(get_args(Verb))}")
    verb: Verb = command  # type: ignore[assignment]  # checked in the line above
    return Control(
        command=verb,
        time=now(),
        by="page",
        target=target or None,
        reason=(reason or "").strip()[:500],
    )


def _submitted(pane: Pane, submit: Submit, control: Control) -> str:
    """Hand the command on if it can mean something now; what was done, in words."""
    problem = _objection(_seen(pane), control)
    if problem:
        raise HTTPException(409, problem)
    try:
        submit(control)
    except (HeadraceError, TimeoutError) as error:
        raise HTTPException(
            503, f"not on the log: {error or 'the run does not answer'}"
        ) from error
    target = f" {control.target}" if control.target else ""
    return (
        f"{control.command}{target}: on the log; it takes effect at the next freshness boundary."
    )


def _objection(view: View, control: Control) -> str:
    """Why the command makes no sense now; empty if it does."""
    target = control.target or ""
    if control.command in ("promote", "reject"):
        shadows = [card.name for card in view.models if card.can_promote]
        if target not in shadows:
            return (
                f"{target or 'nothing'} is no shadow; shadows now: {', '.join(shadows) or 'none'}"
            )
    if control.command == "rollback" and not any(card.can_roll_back for card in view.models):
        return "there is no earlier champion beside the present one to go back to"
    if control.command in ("acknowledge", "resolve"):
        states = {alert["alert"]: alert["state"] for alert in view.summary["alerts"]}
        if states.get(target, "resolved") == "resolved":
            return f"there is no open alert {target}"
    return ""
