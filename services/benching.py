"""`headrace bench`: learners, decisions and retraining beside what others do, in one run."""

import json
from pathlib import Path
from typing import Annotated

import typer

bench_app = typer.Typer(help="Headrace beside what others do, in one run.", no_args_is_help=True)


@bench_app.callback()
def _bench() -> None:
    """Headrace beside what others do, in one run."""


@bench_app.command()
def learning(
    data: Annotated[Path, typer.Option(help="Parquet or CSV files, one stream each.")],
    streams: Annotated[str, typer.Option(help="Only these, with commas (default: all).")] = "",
    target: Annotated[
        str, typer.Option(help="The label's column (default: as meta.json says, else the last).")
    ] = "",
    delay: Annotated[int, typer.Option(min=0, help="Labels come so many events late.")] = 0,
    peers: Annotated[
        str,
        typer.Option(
            help="Of baselines, arf, srp, levbag, amf, linear, capymoa (default: all of River's, "
            "CapyMOA where it is installed)."
        ),
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of whoever draws random numbers.")] = 1,
    rows: Annotated[int, typer.Option(min=0, help="Only the first rows; 0: all.")] = 0,
    most_s: Annotated[
        float, typer.Option("--cap", min=0, help="CPU seconds a run may take; 0: no end.")
    ] = 300.0,
    frames: Annotated[
        bool, typer.Option("--frames", help="Give the peers our view of the features too.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
) -> None:
    """Accuracy and CPU of the pool and its peers, event by event: predict, then learn."""
    from services.bench_tables import show, show_all  # a command pays for its own imports only
    from shared.bench.learning import Race, heats
    from shared.bench.report import report

    race = Race(data, _names(streams), target, rows, delay, seeds, _names(peers), most_s, frames)
    done = []
    for heat in heats(race, lambda line: typer.echo(line, err=True)):
        done.append(heat)
        if not as_json:
            show(race, heat)
    if as_json:
        typer.echo(json.dumps(report(race, done)))
    else:
        show_all(done)


@bench_app.command()
def decisions(
    data: Annotated[
        Path | None,
        typer.Option(help="Parquet or CSV files, one stream each; without: made-up pairs only."),
    ] = None,
    streams: Annotated[str, typer.Option(help="Only these, with commas (default: all).")] = "",
    contests: Annotated[int, typer.Option(min=20, help="Contests of each kind.")] = 1_000,
    pairs: Annotated[int, typer.Option(min=2_048, help="Pairs in a contest.")] = 20_000,
    rows: Annotated[int, typer.Option(min=0, help="First rows of a stream; 0: all.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
) -> None:
    """How often promotion is wrong between equal models, and how soon it is right."""
    from services.decision_tables import show
    from shared.bench.decisions import Trial, cells, report

    trial = Trial(data, _names(streams), contests, pairs, rows, seed)
    done = list(cells(trial, lambda line: typer.echo(line, err=True)))
    if as_json:
        typer.echo(json.dumps(report(trial, done)))
    else:
        show(trial, done)


@bench_app.command()
def retraining(
    data: Annotated[Path, typer.Option(help="Parquet or CSV files, one stream each.")],
    streams: Annotated[str, typer.Option(help="Only these, with commas (default: all).")] = "",
    rows: Annotated[int, typer.Option(min=0, help="First rows of a stream; 0: all.")] = 20_000,
    keep: Annotated[
        Path,
        typer.Option(
            help="Finished cells (a stream and a model) are kept here and not reckoned again, so "
            "that a long run may be broken off, or made in parts."
        ),
    ] = Path(".headrace/bench"),
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
) -> None:
    """What each policy of retraining costs, errors and fits together."""
    from services.retraining_tables import show
    from shared.bench.retraining import Plan, bills, report

    plan = Plan(data, _names(streams), rows, keep)
    done = list(bills(plan, lambda line: typer.echo(line, err=True)))
    if as_json:
        typer.echo(json.dumps(report(plan, done)))
    else:
        show(done)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
