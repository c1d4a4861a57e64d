"""Options that many commands have, and how they show what they found."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from services import inspection

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The run's directory (default: the only one in .headrace/)."),
]
ProblemFile = Annotated[
    Path | None,
    typer.Option("--problem", help="Its problem file (needed where HEADRACE_LOG names Kafka)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")]


def show(rows: Any, as_json: bool) -> None:
    """Rows as people read them, or as one JSON object."""
    typer.echo(json.dumps(rows, default=str) if as_json else inspection.text(rows))
