"""The page keeps itself up to date: its parts as server-sent events, as they change."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from threading import Lock

import msgspec
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from services.console.pages import Pages
from services.console.pane import Pane
from services.console.snapshot import View

TICK_S = 1.0
TURNS = 5
"""Looks in a tick whether the stream should end."""
HEARTBEAT_TURNS = 75


class Frames:
    """The newest view as HTML panels, rendered once for all viewers."""

    def __init__(self, pane: Pane, pages: Pages) -> None:
        self._pane = pane
        self._pages = pages
        self._lock = Lock()
        self._view: View | None = None
        self._parts: dict[str, str] = {}

    def newest(self, host: str) -> dict[str, str]:
        """Part to its content: panels as HTML, `chart` as JSON; empty before the first view."""
        with self._lock:
            view = self._pane.view()
            if view is not None and view is not self._view:
                chart = msgspec.json.encode(view.chart).decode()
                self._parts = {**self._pages.panels(view, host), "chart": chart}
                self._view = view
            return self._parts


async def changes(request: Request, pane: Pane, frames: Frames) -> AsyncIterator[str]:
    """Server-sent events (WHATWG HTML, section 9.2), until the run or the viewer is gone."""
    sent: dict[str, str] = {}
    for turn in count():
        if pane.closed or await request.is_disconnected():
            return
        if turn % TURNS:
            await asyncio.sleep(TICK_S / TURNS)
            continue
        parts = await run_in_threadpool(frames.newest, request.url.netloc)
        for name, text in parts.items():
            if sent.get(name) != text:
                lines = "\n".join(f"data: {line}" for line in text.splitlines())
                yield f"event: {name}\n{lines}\n\n"
        sent = dict(parts)
        if turn % HEARTBEAT_TURNS == 0:
            yield ": still here\n\n"
        await asyncio.sleep(TICK_S / TURNS)
