"""`headrace serve`: from options to one process of the system, its health, its page."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import typer

from services.console.pane import Pane
from services.doctor import explaining
from services.inspection import RUNS
from services.process import Process
from services.scheduler.shell import Ticks
from services.warming import warming
from shared.problem.load import load_problem
from shared.problem.spec import Problem
from shared.runtime.admin import serve_admin
from shared.runtime.clock import elapsed_s
from shared.runtime.freshness import Freshness
from shared.runtime.garbage import relax_collector
from shared.runtime.signals import stop_on_signals
from shared.settings import Settings, load


@dataclass(frozen=True)
class Options:
    """What the command line said."""

    names: list[str]
    problem: Path
    data_dir: Path | None
    host: str
    port: int
    instance: str
    batch_size: int
    events: Path | None
    labels: Path | None
    references: Path | None
    speed: str
    ticks: bool


def serve(options: Options) -> None:
    """Work until SIGINT or SIGTERM.

    Raises:
        Fatal: with the exit code of DESIGN section 3.2.
    """
    problem, settings = load_problem(options.problem), load()
    data_dir = options.data_dir or RUNS / problem.name
    data_dir.mkdir(parents=True, exist_ok=True)
    source = None
    if options.events is not None or ("collector" in options.names and problem.is_made_up):
        from services.collector.shell import Replay, parse_speed

        source = Replay(
            options.events, options.labels, problem, parse_speed(options.speed),
            references=options.references, beside=options.problem.parent,
        )  # fmt: skip
    with explaining(settings, problem, options.names), stop_on_signals() as stop:
        process = Process(
            problem, data_dir, settings, options.names, options.instance, options.batch_size
        )
        ticking = options.ticks and "scheduler" in options.names
        pane = Pane(elapsed_s)
        fresh = Freshness(process.meters, process.end)
        if "scorer" in options.names and "learner" not in options.names:
            process.tell(fresh)
        doors = _doors(options, settings, process, pane)
        relax_collector()
        try:
            with doors as port, Ticks(process.submit, live=ticking):
                typer.echo(
                    f"headrace: {process.group} for {problem.name}; health and metrics on "
                    f"http://{options.host}:{port}", err=True,
                )  # fmt: skip
                with _compiled(process, problem, options.names, stop):
                    process.run(source, stop, lambda: _show(process, pane, fresh))
        finally:
            pane.close()
            process.close()


def _compiled(
    process: Process, problem: Problem, names: list[str], stop: Event
) -> AbstractContextManager[None]:
    """A learner takes part when it is warm; a scorer at once: until it hears of a snapshot it answers
    with a model that knows nothing, which needs little compiled code.
    """
    if not {"scorer", "learner"} & set(names):
        return nullcontext()
    process.health.ready("compiling, or loading what was compiled")
    return warming(problem, _say, stop, beside="learner" not in names)


def _say(line: str) -> None:
    typer.echo(f"headrace: {line}", err=True)


def _show(process: Process, pane: Pane, fresh: Freshness) -> None:
    fresh.measure()
    board = process.board()
    if board is not None:
        pane.refresh(board)


def _doors(
    options: Options, settings: Settings, process: Process, pane: Pane
) -> AbstractContextManager[int]:
    """What answers on the port: the page and HTTP input where those services are, else health alone."""
    if not {"console", "collector"} & set(options.names):
        return serve_admin(options.host, options.port, process.health, process.meters)
    from services.site import site  # the web framework takes as long to import as all the rest

    return site(options.names, (options.host, options.port), settings, process, pane)
