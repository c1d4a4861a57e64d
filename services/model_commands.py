"""`headrace models`: versions, decisions on them, and what they are made of."""

from pathlib import Path
from typing import Annotated

import typer

from services import inspection
from services.options import AsJson, DataDir, ProblemFile, Reason, show
from shared.problem.load import load_problem

models_app = typer.Typer(help="Model versions and decisions on them.", no_args_is_help=True)
Version = Annotated[str, typer.Argument(help="A version, such as v2.")]


@models_app.command("list")
def models_list(
    data_dir: DataDir = None, problem: ProblemFile = None, as_json: AsJson = False
) -> None:
    """Every version: its state, since when, why."""
    show(inspection.models(inspection.chosen(data_dir, problem)), as_json)


@models_app.command("compare")
def models_compare(
    version: Annotated[str, typer.Argument(help="A version, such as v2.")],
    data_dir: DataDir = None,
    problem: ProblemFile = None,
    as_json: AsJson = False,
) -> None:
    """The evidence for and against a version, step by step."""
    show(inspection.compare(inspection.chosen(data_dir, problem), version), as_json)


@models_app.command("promote")
def models_promote(
    version: str, reason: Reason = "", data_dir: DataDir = None, problem: ProblemFile = None
) -> None:
    """Take a shadow one step on: to canary, where one is declared, else to champion."""
    typer.echo(
        inspection.command(inspection.chosen(data_dir, problem), "promote", version, reason)
    )


@models_app.command("reject")
def models_reject(
    version: Version, reason: Reason = "", data_dir: DataDir = None, problem: ProblemFile = None
) -> None:
    """End a version that scores beside the champion."""
    typer.echo(inspection.command(inspection.chosen(data_dir, problem), "reject", version, reason))


@models_app.command("rollback")
def models_rollback(
    reason: Reason = "", data_dir: DataDir = None, problem: ProblemFile = None
) -> None:
    """Take the last step back: end the canary, else make the champion before champion again."""
    typer.echo(inspection.command(inspection.chosen(data_dir, problem), "rollback", None, reason))


@models_app.command("rebuild")
def models_rebuild(
    version: Version,
    problem: Annotated[Path, typer.Option(help="The problem file (YAML) of the run.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Fit a version again from the log; exit code 1 when it comes out otherwise."""
    from services import rebuilding

    row = rebuilding.rebuild(inspection.chosen(data_dir, problem), load_problem(problem), version)
    show(row, as_json)
    if not row["equal"]:
        raise typer.Exit(1)


@models_app.command("card")
def models_card(
    version: Version,
    problem: Annotated[Path, typer.Option(help="The problem file (YAML) of the run.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The HTML file (default: VERSION.html).")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a version's model card and data card: one HTML file, with its lineage and figures."""
    from services import rebuilding

    to = out or Path(f"{version}.html")
    chosen = inspection.chosen(data_dir, problem)
    show(rebuilding.card(chosen, load_problem(problem), version, to), as_json)


@models_app.command("export")
def models_export(
    version: Version,
    to: Annotated[Path, typer.Option(help="A directory for its files.")],
    data_dir: DataDir = None,
    problem: ProblemFile = None,
    as_json: AsJson = False,
) -> None:
    """Write a version's signed manifest, its arrays, and scikit-learn's object where it was kept."""
    from services import rebuilding

    show(rebuilding.export(inspection.chosen(data_dir, problem), version, to), as_json)


@models_app.command("mirror")
def models_mirror(
    to: Annotated[
        str, typer.Option(help="MLflow's tracking URI (default: as MLflow itself is told).")
    ] = "",
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on, every 10 seconds, until interrupted.")
    ] = False,
    data_dir: DataDir = None,
    problem: ProblemFile = None,
    as_json: AsJson = False,
) -> None:
    """Bring an MLflow registry to what the log says: versions, figures, champion and challenger."""
    from threading import Event

    from services import mirroring

    run = inspection.chosen(data_dir, problem)
    if follow:
        mirroring.follow(
            lambda: mirroring.mirror(run, to),
            lambda line: typer.echo(line, err=True),
            Event().wait,
            mirroring.EVERY_S,
        )
    else:
        show(mirroring.mirror(run, to), as_json)
