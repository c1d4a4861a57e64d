"""`headrace init`: from a file of events to a problem file, and a few words on it."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import typer

from services.collector.sources.samples import sample_of
from shared.draft.draft import Draft, draft
from shared.draft.guess import Guess
from shared.draft.sample import Sample
from shared.durable import write_durably
from shared.errors import UsageError

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Options:
    """What the command line said."""

    sample: Path
    out: Path
    target: str | None
    task: str | None
    force: bool
    as_json: bool


def init(options: Options) -> None:
    """Write the problem file, and say what was guessed.

    Raises:
        UsageError: the sample cannot be used, or a problem file is there already.
    """
    name = problem_name(options.sample)
    path = options.out
    if path.suffix not in _SUFFIXES:
        path = path / f"{name}.yaml"
    if path.exists() and not options.force:
        raise UsageError(f"{path} is there already; --force writes over it, --out names another.")
    sample = sample_of(options.sample)
    where = _from(path.parent, options.sample)
    found = draft(sample, name, where, options.target, options.task)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, found.text.encode())
    if options.as_json:
        guesses = [guess._asdict() for guess in found.guesses]
        typer.echo(json.dumps({"problem": str(path), "rows": sample.rows, "guesses": guesses}))
    else:
        typer.echo(summary(path, sample, found))


def problem_name(sample: Path) -> str:
    """A problem's name from a file's."""
    name = re.sub(r"[^a-z0-9_-]+", "-", sample.stem.lower()).strip("-_")[:40]
    return name if name[:1].isalpha() else f"p-{name}".rstrip("-")


def _from(directory: Path, sample: Path) -> str:
    """How a problem file in `directory` names the sample."""
    path = os.path.relpath(sample.resolve(), directory.resolve())
    return str(sample.resolve()) if path.count("..") > 2 else Path(path).as_posix()


def summary(path: Path, sample: Sample, found: Draft) -> str:
    """What the terminal says."""
    rows = f"all {sample.rows:,}" if sample.whole else f"the first {sample.rows:,}"
    lines = [f"{path}: written from {rows} rows of {sample.file}", ""]
    lines += [_line(guess) for guess in found.guesses if guess.sure]
    unsure = [guess for guess in found.guesses if not guess.sure]
    if unsure:
        lines += ["", "Not sure of this (each is one line in the file):"]
        for guess in unsure:
            change = f"; to change: {guess.change}" if guess.change else ""
            lines.append(f"{_line(guess)}{change}")
    lines += ["", f"Next: headrace run {path}"]
    return "\n".join(lines)


def _line(guess: Guess) -> str:
    return f"  {guess.about:<14} {guess.what} ({guess.why})"
