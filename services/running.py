"""`headrace run`: from options to a run, its page, its view, its result."""

import json
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import typer

from services import USUAL_PORT
from services.collector.shell import Replay, parse_speed
from services.console.pane import Pane
from services.console.terminal import Terminal
from services.console.waiters import Waiters
from services.embedded import Embedded, claim
from services.inspection import RUNS
from services.scheduler.shell import Ticks
from services.warming import warming
from shared.errors import UsageError
from shared.problem.load import load_problem
from shared.problem.spec import Problem
from shared.runtime.clock import cpu_s, elapsed_s
from shared.runtime.garbage import relax_collector
from shared.runtime.signals import stop_on_signals
from shared.settings import Settings, load

HOST = "127.0.0.1"
_OURS = "headrace.json"


@dataclass(frozen=True)
class Options:
    """What the command line said."""

    problem: Path
    events: Path | None
    labels: Path | None
    references: Path | None
    data_dir: Path | None
    speed: str
    batch_size: int
    port: int | None
    stay: bool
    fresh: bool
    as_json: bool


def run(options: Options) -> None:
    """Run to the end of the source, or until stopped.

    Raises:
        Fatal: with the exit code of DESIGN section 3.2.
    """
    problem = load_problem(options.problem)
    path = _events_path(options, problem)
    speed = parse_speed(options.speed)
    data_dir = options.data_dir or RUNS / problem.name
    if options.fresh:
        _empty(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    made_up = path is None and problem.is_made_up
    where = str(path.resolve()) if path else "generated" if made_up else "http"
    settings = load()
    claim(data_dir, options.problem.read_bytes(), where, problem, settings)
    waiters = Waiters(problem.name) if _is_served(options) else None
    beside = [waiters] if waiters else []
    embedded = Embedded(problem, data_dir, settings, options.batch_size, beside)
    try:
        if waiters:
            waiters.begin(embedded.log.ends)
        source = None
        if path is not None or made_up:
            source = Replay(
                path, options.labels, problem, speed,
                references=options.references, beside=options.problem.parent,
            )  # fmt: skip
        _drive(embedded, source, options, settings, waiters)
    finally:
        embedded.close()


def _is_served(options: Options) -> bool:
    return options.port is not None or not options.as_json


def _drive(
    embedded: Embedded,
    source: Replay | None,
    options: Options,
    settings: Settings,
    waiters: Waiters | None,
) -> None:
    started, cpu = elapsed_s(), cpu_s()
    stay = options.stay or source is None
    terminal = Terminal(embedded.problem, quiet=options.as_json)
    before = embedded.board().summary()["events"]
    pane = Pane(elapsed_s)

    def turn() -> None:
        terminal.show(embedded.board())
        if waiters:  # nobody can look at a page that is not served
            pane.refresh(embedded.board())

    relax_collector()
    page = _page(embedded, pane, options, settings, waiters)
    with stop_on_signals() as stop, page as url, terminal:
        if url:
            terminal.say(f"The page is at {url}")
        live = source is None
        # a replay brings its labels along: it would wait for the compiler at the first of them
        with (
            warming(embedded.problem, terminal.say, stop, beside=live),
            Ticks(embedded.submit, live=live),
        ):
            embedded.run(source, stop, stay, turn)
        pane.refresh(embedded.board(), force=True)
    summary = embedded.board().summary()
    seconds, cpu = elapsed_s() - started, cpu_s() - cpu + embedded.training.cpu_seconds
    done = summary["events"] - before  # none: an earlier run had drained the source
    summary |= {
        "events_per_second": round(done / seconds, 1) if done else None,
        "cpu_us_per_event": round(cpu / done * 1e6, 1) if done else None,
        "directory": str(embedded.data_dir),
    }
    if options.as_json:
        typer.echo(json.dumps(summary, default=str))
    else:
        terminal.summary(embedded.board(), summary)


def _events_path(options: Options, problem: Problem) -> Path | None:
    """The file to replay; None: events are generated, or come over HTTP.

    Raises:
        UsageError: the file is missing.
    """
    path = options.events
    if path is None and problem.source is not None and problem.source.path is not None:
        path = options.problem.parent / problem.source.path
    if path is not None and not path.is_file():
        raise UsageError(f"{path}: there is no such file of events; name one with --events FILE")
    return path


def _empty(data_dir: Path) -> None:
    """Remove an earlier run; nothing that is not one.

    Raises:
        UsageError: the directory holds something else.
    """
    if not data_dir.exists():
        return
    if any(data_dir.iterdir()) and not (data_dir / _OURS).exists():
        raise UsageError(
            f"{data_dir} is not a directory of headrace ({_OURS} is missing); left as it is"
        )
    shutil.rmtree(data_dir)


@contextmanager
def _page(
    embedded: Embedded,
    pane: Pane,
    options: Options,
    settings: Settings,
    waiters: Waiters | None,
) -> Iterator[str | None]:
    """Serve the page and HTTP ingest on loopback while the run lasts; its URL."""
    if waiters is None:
        yield None
        return
    from services.console.shell import make_app  # half a second, where nothing is served
    from services.web import listening, looked_up, open_ways_in, served

    app = make_app(pane, embedded.problem, embedded.submit)
    open_ways_in(app, embedded, settings.token, waiters)
    view: AbstractContextManager[None] = nullcontext()
    if options.stay or (
        embedded.problem.source is None and options.events is None
    ):  # a replay that ends is not there to be asked
        view = looked_up(app, embedded, settings)
    place = listening(HOST, (USUAL_PORT, 0) if options.port is None else (options.port,))
    note = embedded.data_dir / "url"
    try:
        with view, served(app, place) as port:
            url = f"http://{HOST}:{port}"
            note.write_text(url)
            try:
                yield url
            finally:
                pane.close()
    finally:
        note.unlink(missing_ok=True)
