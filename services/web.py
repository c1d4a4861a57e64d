"""An app on a port, in a thread of its own."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Thread

import typer
import uvicorn
from fastapi import FastAPI

from services.collector.bodies import events_of
from services.collector.ingest import ingest
from services.console.lookups import lookups
from services.console.online import OnlineView, following, most_predictions
from services.console.scoring import scoring
from services.console.waiters import Waiters
from services.host import Host
from shared import wiring
from shared.errors import Fatal
from shared.log.port import LogReader
from shared.runtime.clock import now
from shared.runtime.intake import Document
from shared.settings import Settings


def listening(host: str, ports: Sequence[int]) -> socket.socket:
    """A place to listen: the first of `ports` that is free; 0 finds one.

    Raises:
        Fatal: none can be had.
    """
    failure = OSError()
    for port in ports:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # asyncio switches Nagle's algorithm off only where the protocol is named: 40 ms an answer
        place = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind((host, port))
        except OSError as error:
            place.close()
            failure = error
            continue
        return place
    raise Fatal(
        f"port {ports[0]} on {host} cannot be used ({failure.strerror}); choose another with --port, "
        "or --port 0 for a free one"
    )


@contextmanager
def served(app: FastAPI, place: socket.socket) -> Iterator[int]:
    """Serve `app` there while the block lasts; the port."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [place]}, name="web", daemon=True)
    thread.start()
    try:
        yield int(place.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(timeout=5)
        place.close()


def open_ways_in(app: FastAPI, host: Host, token: str | None, waiters: Waiters | None) -> None:
    """Let events and labels in over HTTP; with `waiters`, also events whose answers are waited for."""
    app.include_router(ingest(host.problem, host.accept, token))

    def accept(found: Sequence[Document]) -> None:
        host.accept(events_of(found, host.problem, now()))

    if waiters is not None:
        app.include_router(scoring(host.problem, accept, waiters, token))


@contextmanager
def looked_up(app: FastAPI, host: Host, settings: Settings) -> Iterator[None]:
    """Lookups of entities and predictions on `app`, and what keeps their view in step with the log."""
    problem, data_dir = host.problem, host.data_dir
    store = wiring.open_online(settings.online, data_dir, problem.name, most_predictions(problem))
    app.include_router(lookups(store, settings.token))

    def say(text: str) -> None:
        typer.echo(f"headrace: {text}", err=True)

    def reader() -> LogReader:
        return wiring.open_reader(settings, data_dir, problem.name)

    try:
        with following(OnlineView(store, problem), reader, say):
            yield
    finally:
        store.close()
