"""What a process with the console or the collector answers over HTTP: page, input, scoring, lookups."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from fastapi import FastAPI, Request, Response

from services.console.pane import Pane
from services.console.shell import HOSTS, make_app
from services.console.waiters import Waiters
from services.process import Process
from services.web import listening, looked_up, open_ways_in, served
from shared.runtime.admin import answer
from shared.settings import Settings


@contextmanager
def site(
    names: Sequence[str], at: tuple[str, int], settings: Settings, process: Process, pane: Pane
) -> Iterator[int]:
    """Serve it at `at` (host, port) while the block lasts; the port that is bound.

    Raises:
        Fatal: the address cannot be bound.
    """
    host, port = at
    place = listening(host, (port,))
    problem = process.problem
    view: AbstractContextManager[None] = nullcontext()
    waiters = None
    if "console" in names:
        hosts = (*HOSTS, host) if host != "0.0.0.0" else ("*",)  # noqa: S104
        app = make_app(pane, problem, process.submit, hosts, process.meters.registry)
        waiters = Waiters(problem.name)
        waiters.begin(process.ends)
        process.tell(waiters, waiters.are_waited_for)
        view = looked_up(app, process, settings)
    else:
        app = FastAPI(title=f"Headrace: {problem.name}", docs_url=None, redoc_url=None)
    open_ways_in(app, process, settings.token, waiters)
    _answer_probes(app, process)
    with view, served(app, place) as bound:
        yield bound


def _answer_probes(app: FastAPI, process: Process) -> None:
    @app.get("/health/{probe}")
    @app.get("/metrics")
    def probed(request: Request) -> Response:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        found = answer(target, process.health, process.meters)
        if found is None:
            return Response(status_code=404)
        return Response(found.body, found.status, media_type=found.media_type)
