"""The command `headrace` (DESIGN section 3.2)."""

import sys

import typer

from services.cli import app
from shared.errors import Fatal


def main() -> None:
    """Run the command; an error of ours is one message and an exit code, never a traceback."""
    try:
        app()
    except Fatal as error:
        typer.echo(f"headrace: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
