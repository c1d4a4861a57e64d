"""From a sample to a problem file that runs as it is, with the guesses in its comments."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np

from shared.draft import written
from shared.draft.column import Column, decimal_comma, look
from shared.draft.guess import Guess
from shared.draft.moments import Moments
from shared.draft.names import field_names
from shared.draft.roles import choose_id, choose_key, choose_target, choose_task, choose_time
from shared.draft.sample import Sample
from shared.draft.sections import Roles, sections_of
from shared.problem.durations import duration_text
from shared.problem.load import parse_problem

_MANY_TICKS = 5_000
_TICKS_S = (3_600, 21_600, 86_400, 604_800)


class Draft(NamedTuple):
    """A problem file's `text`, and what was guessed for it, in the order of the file."""

    text: str
    guesses: Sequence[Guess]


def draft(
    sample: Sample, name: str, path: str, target: str | None = None, task: str | None = None
) -> Draft:
    """The problem file `name` for events of which `sample` shows some, and which `path` names.

    Raises:
        UsageError: there is nothing to predict, or nothing to predict it from.
    """
    comma = sample.form == "csv" and decimal_comma(sample.columns, sample.delimiter)
    names = field_names(sample.names)
    columns = [
        look(title, name, cells, absent, sample.form == "csv", comma)
        for title, name, cells, absent in zip(
            sample.names, names, sample.columns, sample.absent, strict=True
        )
    ]
    roles = _roles(columns, sample, target, task)
    sections, guesses = sections_of(sample, roles)
    source, seen = _source(sample, roles, columns, path, comma)
    lines = [
        *_head(sample, name, roles),
        *source,
        *sections,
        *_tail(),
    ]
    text = "\n".join(lines) + "\n"
    parse_problem(text, f"the problem file for {sample.file}")
    return Draft(text, [*roles.guesses, *seen, *guesses])


def _roles(
    columns: Sequence[Column], sample: Sample, asked: str | None, task_asked: str | None
) -> Roles:
    target, guess = choose_target(columns, asked, sample.file)
    task, task_guess = choose_task(target, task_asked, sample.file, sample.whole)
    guesses = [guess, task_guess]
    rest = [column for column in columns if column is not target]
    time = choose_time(rest)
    if time is not None:
        rest.remove(time[0])
        guesses.append(_time_guess(*time))
    name = choose_id(rest)
    if name is not None:
        rest.remove(name)
        why = f"all {name.rows:,} values differ"
        guesses.append(Guess("id", f"`{name.title}`", why, "events.id; delete it to have none"))
    key = choose_key(rest)
    if key is not None:
        guesses.append(key[1])
    return Roles(target, task, name, time, key[0] if key else None, rest, guesses)


def _time_guess(column: Column, moments: Moments) -> Guess:
    why = "every cell is a time"
    if moments.format is not None:
        why += f", written `{moments.format}`"
    if moments.other is None:
        return Guess("time", f"`{column.title}`", why, "events.time; delete it to have none")
    why += f" (`{moments.other}` would fit too)"
    return Guess("time", f"`{column.title}`", why, "source.time_format", sure=False)


def _head(sample: Sample, name: str, roles: Roles) -> list[str]:
    rows = f"all {sample.rows:,}" if sample.whole else f"the first {sample.rows:,}"
    goal = f"Predict {roles.target.title} of each event of {sample.file}."
    return [
        f"# Written by `headrace init` from {rows} rows of {sample.file}. It runs as it is.",
        "# Behind a # stands what was seen; `?` marks what a person should look at.",
        f"name: {written.key(name)}",
        f"goal: {written.key(goal)}",
        f"task: {roles.task}",
        "",
    ]


def _source(
    sample: Sample, roles: Roles, columns: Sequence[Column], path: str, comma: bool
) -> tuple[list[str], list[Guess]]:
    """Where the events are and how they are written."""
    guesses: list[Guess] = []
    lines = ["source:", f"  path: {written.value(path)}"]
    if sample.delimiter is not None:
        lines.append(f"  delimiter: {written.value(sample.delimiter)}")
    if comma:
        lines.append(written.line('  decimal: ","', "numbers are written 1.234,5"))
        guesses.append(
            Guess(
                "numbers", "decimal commas", "most columns of numbers have them", "source.decimal"
            )
        )
    nothing = sorted({word for column in columns for word in column.nothing})
    if nothing:
        lines.append(written.line(f"  missing: {written.value(nothing)}", "stands for no value"))
        guesses.append(
            Guess(
                "missing values",
                ", ".join(nothing),
                "the only text among numbers",
                "source.missing",
            )
        )
    renamed = {
        c.title: c.name for c in columns if c.title != c.name and c.kind not in ("nested", "empty")
    }
    if renamed:
        lines.append(written.line("  columns:", "names that formulas can use"))
        lines += [
            f"    {written.key(title)}: {written.key(name)}" for title, name in renamed.items()
        ]
    if roles.time is not None:
        lines += _time_lines(roles.time[1])
    if sample.broken:
        where = ", ".join(map(str, sample.broken[:5]))
        why = f"{len(sample.broken)} cannot be read, first: {where}; they will be rejected"
        guesses.append(Guess("lines", "left as they are", why, "mend the file", sure=False))
    return [*lines, ""], guesses


def _time_lines(moments: Moments) -> list[str]:
    lines = []
    if moments.format is not None:
        doubt = f"? {moments.other} fits too" if moments.other else "how the time is written; UTC"
        lines.append(written.line(f"  time_format: {written.value(moments.format)}", doubt))
    span_s = float(np.ptp(moments.seconds))
    tick_s = next((t for t in _TICKS_S if span_s / t <= _MANY_TICKS), _TICKS_S[-1])
    tick = duration_text(timedelta(seconds=tick_s))
    lines.append(written.line(f"  tick: {tick}", "event time between two ticks in a replay"))
    return lines


def _tail() -> list[str]:
    return [
        "model:",
        written.line("  freshness: 1", "learn from each label at once; 10 or 50 costs less CPU"),
        "",
        "retraining:",
        "  triggers:",
        written.line("    - {on: drift}", "when an alert opens"),
        written.line(
            "    - {on: growth}", "and whenever there are twice as many labels as before"
        ),
    ]
