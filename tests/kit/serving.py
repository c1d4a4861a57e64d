"""The embedded system in this process behind a real server, and problems small enough for it."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from services.collector.bodies import events_of
from services.collector.ingest import ingest
from services.console.scoring import scoring
from services.console.waiters import Waiters
from services.embedded import Embedded
from shared.problem.spec import Problem
from shared.runtime.clock import now
from shared.settings import Settings


def small_problem(**events: Any) -> Problem:
    """Two numbers, a yes or no; `events` goes over the mapping of id, time and key."""
    fields = {"a": {"type": "number", "range": [0, 100]}, "b": {"type": "number"}}
    mapping = {"id": "id", "time": "at", "fields": fields}
    return Problem.model_validate(
        {
            "name": "small",
            "goal": "a test",
            "task": "binary",
            "events": {k: v for k, v in (mapping | events).items() if v is not None},
            "label": {"field": "y", "classes": [0, 1]},
        }
    )


class System:
    """A running system. `client` speaks HTTP to it; `embedded.log` may be read when it is idle."""

    def __init__(self, problem: Problem, data_dir: Path, token: str | None, timeout_s: float):
        self.waiters = Waiters(problem.name)
        self.embedded = Embedded(problem, data_dir, Settings(), beside=[self.waiters])
        self.waiters.begin(self.embedded.log.ends)
        self.going, self.paused = Event(), Event()
        self.going.set()
        self._stop = Event()
        app = FastAPI()
        app.include_router(ingest(problem, self.embedded.accept, token))
        app.include_router(
            scoring(
                problem,
                lambda found: self.embedded.accept(events_of(found, problem, now())),
                self.waiters,
                token,
                timeout_s,
            )
        )
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        self._threads = [
            Thread(target=self._server.run, kwargs={"sockets": [self._socket]}),
            Thread(target=self._loop),
        ]
        for thread in self._threads:
            thread.start()
        while not self._server.started:
            time.sleep(0.005)
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def _loop(self) -> None:
        self.embedded.run(None, self._stop, True, self._turn)

    def _turn(self) -> None:
        if not self.going.is_set():
            self.paused.set()
            self.going.wait()

    def close(self) -> None:
        self.client.close()
        self.going.set()
        self._stop.set()
        self._server.should_exit = True
        for thread in self._threads:
            thread.join(20)
        self._socket.close()
        self.embedded.close()


@contextmanager
def system(
    problem: Problem, data_dir: Path, token: str | None = None, timeout_s: float = 20
) -> Iterator[System]:
    running = System(problem, data_dir, token, timeout_s)
    try:
        yield running
    finally:
        running.close()
