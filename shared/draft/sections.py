"""The sections of the problem file on events, label, features and evaluation."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np

from shared.draft import written
from shared.draft.column import Column
from shared.draft.fields import Declared, declared, is_wide
from shared.draft.guess import Guess
from shared.draft.moments import Moments
from shared.draft.past_features import calendar, windows
from shared.draft.sample import Sample
from shared.errors import UsageError
from shared.problem.durations import duration_text
from shared.problem.scalars import scalar_text
from shared.problem.spec import Task

_IMBALANCED = 0.8


class Roles(NamedTuple):
    """What each column is for; `rest` are the fields."""

    target: Column
    task: Task
    id: Column | None
    time: tuple[Column, Moments] | None
    key: Column | None
    rest: Sequence[Column]
    guesses: Sequence[Guess]


def sections_of(sample: Sample, roles: Roles) -> tuple[list[str], list[Guess]]:
    """Events, label, features, evaluation."""
    guesses: list[Guess] = []
    wide = is_wide(len(roles.rest))
    fields = [(c, declared(c, roles.target, c is roles.key, wide)) for c in roles.rest]
    lines = ["events:"]
    if roles.id is not None:
        lines.append(written.line(f"  id: {written.value(roles.id.name)}", "each row has its own"))
    else:
        why = "? no column names each row: an event is named by its place"
        lines.append(written.line("  # id: NAME", why))
    lines += _time_of(roles, guesses)
    if roles.key is not None:
        lines.append(
            written.line(
                f"  key: {written.value(roles.key.name)}", "? windows and lags run per key"
            )
        )
    lines.append("  fields:" if any(d.options for _, d in fields) else "  fields: {}")
    for column, (options, comment) in fields:
        text = (
            f"    {written.key(column.name)}: {written.value(options)}"
            if options
            else f"    # {column.name}:"
        )
        lines.append(written.line(text, comment))
    _tell(fields, guesses)
    features = _features(sample, roles, [c for c, d in fields if d.options and c.name], guesses)
    if not features and not any(_gives(d) for _, d in fields):
        raise UsageError(
            f"{sample.file}: besides the target `{roles.target.title}` no column gives a feature "
            "(numbers, truth values or categories). Is the delimiter right, and --target?"
        )
    lines += ["", *_label(roles), "", *features, *_evaluation(roles, guesses)]
    return lines, guesses


def _gives(found: Declared) -> bool:
    options = found.options or {"type": "text"}
    return options["type"] != "text" and bool(options.get("feature", True))


def _time_of(roles: Roles, guesses: list[Guess]) -> list[str]:
    if roles.time is None:
        why = "? no column holds times: an event is of when it arrives"
        return [written.line("  # time: NAME", why)]
    column, moments = roles.time
    lines = [written.line(f"  time: {written.value(column.name)}", "event time")]
    back_s, rows = _backwards(moments.seconds, roles.key)
    if rows:
        allowed = duration_text(timedelta(seconds=max(1, round(2 * back_s))))
        why = f"{rows:,} rows are older than one before them, by {back_s:,.0f} s at most"
        lines.append(written.line(f"  allow_backwards: {allowed}", f"? {why}"))
        change = "sort the file by time, or set events.allow_backwards"
        guesses.append(Guess("order", f"up to {allowed} late is taken", why, change, sure=False))
    return lines


def _backwards(seconds: Any, key: Column | None) -> tuple[float, int]:
    """How far rows lie behind the newest one of their key at most, and how many do."""
    codes = key.codes if key is not None else np.zeros(len(seconds), np.int64)
    order = np.argsort(codes, kind="stable")
    worst, rows = 0.0, 0
    for group in np.split(seconds[order], np.flatnonzero(np.diff(codes[order])) + 1):
        behind = np.maximum.accumulate(group) - group
        worst, rows = max(worst, float(behind.max())), rows + int((behind > 0).sum())
    return worst, rows


def _tell(fields: Sequence[tuple[Column, Declared]], guesses: list[Guess]) -> None:
    """What a person should know of fields."""
    for column, (options, comment) in fields:
        about = f"field {column.title}"
        if options is None:
            guesses.append(Guess(about, "left out", comment))
        elif "says the same" in comment:
            guesses.append(
                Guess(about, "no feature", comment, "delete `feature: false`", sure=False)
            )
        elif column.odds:
            guesses.append(
                Guess(about, str(options["type"]), comment, "mend the file", sure=False)
            )
        elif column.kind == "words" and "numbers" in comment:
            change = "write plain numbers; source.missing lists words for nothing"
            guesses.append(Guess(about, str(options["type"]), comment, change, sure=False))
        elif column.constant:
            guesses.append(Guess(about, "no feature", "constant", "delete `feature: false`"))


def _features(
    sample: Sample, roles: Roles, columns: Sequence[Column], guesses: list[Guess]
) -> list[str]:
    taken = {column.name for column in columns}
    found = calendar(roles.time[1], taken) if roles.time is not None else []
    keys = roles.key.cells if roles.key is not None else ()
    past = windows(columns, roles.target, roles.task, roles.key, keys)
    found += past.features
    if past.season is not None:
        why = "columns come back to what they were"
        rows = f"{past.season} rows" + (" of a key" if roles.key is not None else "")
        guesses.append(Guess("season", rows, why, "the sizes of windows"))
    if not found:
        return []
    for options, why in found:
        shown = ", ".join(options.get("parts", [])) or f"of {options.get('field')}"
        guesses.append(Guess(str(options["kind"]), shown, why, "features"))
    lines = [written.line(f"  - {written.value(options)}", why) for options, why in found]
    return ["features:", *lines, ""]


def _label(roles: Roles) -> list[str]:
    target = roles.target
    lines = ["label:", f"  field: {written.value(target.name)}"]
    if roles.task != "regression":
        classes = sorted(int(c) if target.whole else c for c in target.counts)
        seen = ", ".join(f"{scalar_text(c)}: {target.counts[c]:,}" for c in classes[:8])
        lines.append(written.line(f"  classes: {written.value(classes)}", f"seen: {seen}"))
    why = "? in a replay the truth comes right behind its event; write how much later it comes in life"
    lines.append(written.line("  # delay: 1h", why))
    return lines


def _evaluation(roles: Roles, guesses: list[Guess]) -> list[str]:
    share = max(roles.target.counts.values()) / roles.target.known
    if roles.task == "regression":
        metric, why = "mae", "mean absolute error, in the target's own unit"
    elif share > _IMBALANCED:
        metric, why = "log_loss", f"{share:.0%} are of one class, so accuracy says little"
    else:
        metric, why = "accuracy", "share of right answers"
    guesses.append(Guess("metric", metric, why, "evaluation.metric"))
    return ["evaluation:", written.line(f"  metric: {metric}", why), ""]
