"""`headrace serve`: from options to one process of the system."""

import gc
from dataclasses import dataclass
from pathlib import Path

import typer

from services.collector.shell import Replay, parse_speed
from services.inspection import RUNS
from services.process import Process
from services.scheduler.shell import Ticks
from shared.problem.load import load_problem
from shared.runtime.signals import stop_on_signals
from shared.settings import load


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
    speed: str
    ticks: bool


def serve(options: Options) -> None:
    """Work until SIGINT or SIGTERM.

    Raises:
        Fatal: with the exit code of DESIGN section 3.2.
    """
    problem = load_problem(options.problem)
    data_dir = options.data_dir or RUNS / problem.name
    data_dir.mkdir(parents=True, exist_ok=True)
    source = None
    if options.events is not None:
        source = Replay(options.events, options.labels, problem, parse_speed(options.speed))
    process = Process(
        problem, data_dir, load(), options.names, options.instance, options.batch_size
    )
    ticking = options.ticks and "scheduler" in options.names
    gc.collect()
    gc.freeze()  # as `headrace run` does
    try:
        with stop_on_signals() as stop, Ticks(process.submit, live=ticking):
            typer.echo(f"headrace: {process.group} works for {problem.name}", err=True)
            process.run(source, stop, lambda folded: None)
    finally:
        process.close()
