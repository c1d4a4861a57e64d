"""The command `headrace` (DESIGN section 3.2)."""

import sys

import typer

from services.cli import app
from shared.errors import HeadraceError


def main() -> None:
    """Run the command; an error of ours is one message and an exit code, never a traceback."""
    try:
        app()
    except HeadraceError as error:
        typer.echo(f"headrace: {error}", err=True)
        sys.exit(getattr(error, "exit_code", 1))


if __name__ == "__main__":
    main()
