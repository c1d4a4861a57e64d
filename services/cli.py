"""Commands and options; what they do is elsewhere (`embedded.py`, `inspection.py`)."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from services import USUAL_PORT, inspection
from services.benching import bench_app
from services.model_commands import models_app
from services.options import AsJson, DataDir, ProblemFile, Reason, show
from shared.problem.load import load_problem

app = typer.Typer(
    name="headrace",
    help="Streaming machine learning that monitors itself, retrains, and proves it. One YAML file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
rejected_app = typer.Typer(help="Records that could not be used.", no_args_is_help=True)
app.add_typer(rejected_app, name="rejected")
topics_app = typer.Typer(help="The topics of a problem on Kafka.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(topics_app, name="topics")
app.add_typer(bench_app, name="bench")


@app.command()
def init(
    sample: Annotated[Path, typer.Argument(help="A CSV, JSONL or Parquet file of events.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A directory, or the problem file's name (.yaml).")
    ] = Path(),
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    task: Annotated[str | None, typer.Option(help="binary, multiclass or regression.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a problem file that runs, inferred from a sample; it says what it guessed, and why."""
    from services import starting

    starting.init(starting.Options(sample, out, target, task, force, as_json))


@app.command()
def run(
    problem: Annotated[Path, typer.Argument(help="The problem file (YAML).")],
    events: Annotated[
        Path | None,
        typer.Option(help="A CSV, JSONL or Parquet file (default: the file's source)."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="A JSONL file of labels, beside --events.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option(help="A JSONL file of references, beside --events.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the run lives (default: .headrace/NAME).")
    ] = None,
    speed: Annotated[
        str, typer.Option(help="max, or event time over wall time: 60x, 1x.")
    ] = "max",
    batch_size: Annotated[
        int, typer.Option(min=1, help="Records a turn; changes no result.")
    ] = 1_000,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Serve the page there; 0 finds a free one."),
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Keep the page up when drained.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over: empty the directory first.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the whole system in this process over one SQLite file."""
    from services import running  # each command pays for its own imports only

    options = running.Options(
        problem=problem,
        events=events,
        labels=labels,
        references=references,
        data_dir=data_dir,
        speed=speed,
        batch_size=batch_size,
        port=port,
        stay=stay,
        fresh=fresh,
        as_json=as_json,
    )
    running.run(options)


@app.command()
def serve(
    services: Annotated[str, typer.Argument(help="One or more, with commas: validator,scorer.")],
    problem: Annotated[Path, typer.Option(help="The problem file (YAML).")],
    data_dir: Annotated[
        Path | None, typer.Option(help="For blobs, jobs, the archive (default: .headrace/NAME).")
    ] = None,
    host: Annotated[str, typer.Option(help="Where health, metrics and the page listen.")] = (
        "127.0.0.1"
    ),
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Their port; 0 finds a free one.")
    ] = USUAL_PORT,
    instance: Annotated[
        str, typer.Option(help="Who this is among processes that do the same; keep it stable.")
    ] = "0",
    batch_size: Annotated[int, typer.Option(min=1, help="Records a turn.")] = 1_000,
    events: Annotated[
        Path | None, typer.Option(help="For the collector: a file of events to replay.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="A JSONL file of labels, beside --events.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option(help="A JSONL file of references, beside --events.")
    ] = None,
    speed: Annotated[
        str, typer.Option(help="max, or event time over wall time: 60x, 1x.")
    ] = "max",
    ticks: Annotated[
        bool,
        typer.Option(
            help="The scheduler tells the time. Not where events are of long ago: who replays them "
            "sends ticks of that time to the topic `control`."
        ),
    ] = True,
) -> None:
    """Run some services in this process, over a log that others share (HEADRACE_LOG=kafka://...)."""
    from services import serving

    options = serving.Options(
        names=[name.strip() for name in services.split(",")],
        problem=problem,
        data_dir=data_dir,
        host=host,
        port=port,
        instance=instance,
        batch_size=batch_size,
        events=events,
        labels=labels,
        references=references,
        speed=speed,
        ticks=ticks,
    )
    serving.serve(options)


@app.command()
def status(data_dir: DataDir = None, problem: ProblemFile = None, as_json: AsJson = False) -> None:
    """Where each stream ends, what is live, what is open, what was audited and labelled."""
    found = inspection.status(inspection.chosen(data_dir, problem))
    lines = {name: found[name]["text"] for name in ("audit", "coverage")}
    show(found if as_json else found | lines, as_json)


@app.command()
def alerts(
    data_dir: DataDir = None,
    problem: ProblemFile = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more.")] = False,
    as_json: AsJson = False,
) -> None:
    """Alerts, newest state of each."""
    if follow:
        inspection.follow_alerts(
            inspection.chosen(data_dir, problem), lambda row: show([row], as_json)
        )
        return
    show(inspection.alerts(inspection.chosen(data_dir, problem)), as_json)


@app.command()
def retrain(reason: Reason = "", data_dir: DataDir = None, problem: ProblemFile = None) -> None:
    """Ask for a retraining job now."""
    typer.echo(inspection.command(inspection.chosen(data_dir, problem), "retrain", None, reason))


@app.command()
def cancel(
    job: Annotated[str, typer.Argument(help="A job that is under way, such as job-0003.")],
    reason: Reason = "",
    data_dir: DataDir = None,
    problem: ProblemFile = None,
) -> None:
    """Call a retraining job off: whatever its fit finds is not used."""
    typer.echo(inspection.cancel(inspection.chosen(data_dir, problem), job, reason))


@app.command()
def report(
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path(
        "report.html"
    ),
    data_dir: DataDir = None,
    problem: ProblemFile = None,
    as_json: AsJson = False,
) -> None:
    """What the data of a run looks like, as one HTML file that needs no network."""
    from services import reporting

    declared = None if problem is None else load_problem(problem)
    show(reporting.report(inspection.chosen(data_dir, problem), declared, out), as_json)


@rejected_app.command("list")
def rejected_list(
    data_dir: DataDir = None,
    problem: ProblemFile = None,
    check: Annotated[str, typer.Option(help="Only this check.")] = "",
    limit: Annotated[int, typer.Option(min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """The newest rejected records, and how many of each kind."""
    show(inspection.rejected(inspection.chosen(data_dir, problem), check, limit), as_json)


@rejected_app.command("show")
def rejected_show(
    number: Annotated[int, typer.Argument(help="The offset, as listed.")],
    data_dir: DataDir = None,
    problem: ProblemFile = None,
    as_json: AsJson = False,
) -> None:
    """One rejected record with its raw bytes."""
    show(inspection.rejected_one(inspection.chosen(data_dir, problem), number), as_json)


@rejected_app.command("replay")
def rejected_replay(
    problem: Annotated[Path, typer.Option(help="The problem file, as it is mended.")],
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Offsets, as listed (default: all).")
    ] = None,
    data_dir: DataDir = None,
    check: Annotated[str, typer.Option(help="Only this check.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Send what passes; else only say.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send rejected events once more, after a mend; what passes now, and each only once."""
    from services import replaying

    chosen = inspection.chosen(data_dir, problem)
    show(replaying.replay(chosen, load_problem(problem), check, numbers or [], yes), as_json)


@app.command("doctor")
def examine(
    problem: Annotated[Path, typer.Option(help="The problem file (YAML).")],
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the run lives (default: .headrace/NAME).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What is wrong with settings, Kafka, Redis, keys, disk: a line each, with the mend."""
    from services import doctor

    found = []
    for finding in doctor.examine(problem, data_dir):
        found.append(finding)
        if not as_json:
            typer.echo(finding.line())
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found]))
    if any(finding.state == "wrong" for finding in found):
        raise typer.Exit(1)


@topics_app.command("create")
def topics_create(
    problem: Annotated[Path, typer.Option(help="The problem file (YAML).")],
    partitions: Annotated[
        int | None, typer.Option(min=1, help="Of events and of the way to predictions.")
    ] = None,
    replication: Annotated[
        int, typer.Option(min=-1, help="Copies of each; -1: as the broker says.")
    ] = -1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Create nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create the topics that are missing; what exists is compared, and left as it is."""
    from services import topics

    rows = topics.create(problem, partitions, replication, dry_run)
    show(rows if as_json else {row["topic"]: topics.line(row) for row in rows}, as_json)
