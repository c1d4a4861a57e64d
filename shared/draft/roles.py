"""Which columns are the target, the id, the time, the key; and what kind of task the target makes."""

import re
from collections.abc import Sequence
from typing import get_args

import numpy as np

from shared.draft.column import Column
from shared.draft.guess import Guess
from shared.draft.moments import Moments, moments_of
from shared.errors import UsageError
from shared.problem.mistakes import nearest
from shared.problem.spec import Task

_TARGETS = (
    "target", "label", "class", "y", "outcome", "response", "truth", "result", "churn", "churned",
    "is_fraud", "fraud", "default", "defaulted", "survived", "is_phishing",
)  # fmt: skip
_TIMES = re.compile(r"(^|_)(time|times|timestamp|ts|date|datetime|day|moment|at|when)(_|$|[0-9])")
_IDS = re.compile(r"(^|_)(id|uuid|guid|key|index|idx|row|no|nr|number|record|sequence|seq)(_|$)")
_KEYS = re.compile(
    r"(^|_)(id|user|customer|client|account|device|sensor|station|machine|store|shop|symbol|ticker|"
    r"region|site|room|host|vehicle|patient|meter|unit|entity|key)(_|$)"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
FEW_CLASSES, MOST_CLASSES = 20, 100
_ROWS_A_CLASS = 10
_ROWS_A_KEY = 5
_UNIX_S = (6.3e8, 4.2e9)
"""From 1990 to 2103."""


def plain(name: str) -> str:
    """A name as one compares it: `customerId`, `Customer ID` and `customer_id` are the same."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", snake.lower()).strip("_")


def choose_target(columns: Sequence[Column], asked: str | None, file: str) -> tuple[Column, Guess]:
    """The column to predict.

    Raises:
        UsageError: there is no such column, or nothing to predict in it.
    """
    usable = [column for column in columns if column.kind not in ("nested", "empty", "time")]
    if asked is not None:
        found = [column for column in columns if asked in (column.title, column.name)]
        if not found:
            near = nearest(asked, [column.title for column in columns])
            raise UsageError(f"{file}: there is no column `{asked}`; --target takes {near}.")
        return found[0], Guess("target", f"`{found[0].title}`", "--target names it")
    change = "headrace init with --target COLUMN"
    by_name = {plain(column.title): column for column in reversed(columns)}
    named = [by_name[name] for name in _TARGETS if name in by_name]
    if named:
        others = ", ".join(f"`{column.title}`" for column in named[1:])
        why = "by its name" + (f"; by theirs {others} could be it too" if others else "")
        if others:
            why += ", and would be known beforehand"
        return named[0], Guess("target", f"`{named[0].title}`", why, change, sure=not others)
    if not usable:
        raise UsageError(f"{file}: no column holds anything that could be predicted.")
    last = usable[-1]
    why = "the last column; no name says target, label, class or y"
    return last, Guess("target", f"`{last.title}`", why, change, sure=False)


def choose_task(target: Column, asked: str | None, file: str, whole: bool) -> tuple[Task, Guess]:
    """What there is to predict in the target.

    Raises:
        UsageError: nothing; the text says why, and what to do.
    """
    other = "Name another column with --target."
    count = len(target.counts)
    where = f"{file}, column `{target.title}`"
    if target.kind in ("nested", "empty", "time"):
        held = {"nested": "lists or objects", "empty": "nothing", "time": "times"}[target.kind]
        raise UsageError(f"{where}: it holds {held}, which cannot be predicted. {other}")
    if count < 2:
        rows = f"all {target.rows:,}" if whole else f"the first {target.rows:,}"
        value = next(iter(target.counts))
        raise UsageError(
            f"{where}: {rows} rows hold the one value `{value}`: there is nothing to predict. {other}"
        )
    task, guess = _task(target, count)
    if asked is None:
        if task != "regression" and not target.numeric and count > MOST_CLASSES:
            raise UsageError(
                f"{where}: {count:,} different texts are too many classes (at most {MOST_CLASSES}). "
                f"{other}"
            )
        return task, guess
    if asked not in get_args(Task):
        raise UsageError(f"--task takes {', '.join(get_args(Task))}, not `{asked}`.")
    if (asked == "regression" and not target.numeric) or (asked == "binary" and count > 2):
        raise UsageError(f"{where}: {count:,} different values do not fit --task {asked}.")
    if asked != "regression" and count > MOST_CLASSES:
        raise UsageError(f"{where}: {count:,} classes are too many (at most {MOST_CLASSES}).")
    found: Task = next(task for task in get_args(Task) if task == asked)
    return found, Guess("task", found, "--task says so")


def _task(target: Column, count: int) -> tuple[Task, Guess]:
    change = "headrace init with --task binary, multiclass or regression"
    if count == 2:
        return "binary", Guess("task", "binary", "the target has two values", change)
    if not target.numeric:
        return "multiclass", Guess("task", "multiclass", f"{count} different values", change)
    if not target.whole or count > MOST_CLASSES or count * _ROWS_A_CLASS > target.known:
        why = f"numbers, {count:,} different ones"
        return "regression", Guess("task", "regression", why, change)
    balanced = min(target.counts.values()) * 4 >= target.known / count
    why = f"{count} different whole numbers"
    if count <= FEW_CLASSES:
        return "multiclass", Guess("task", "multiclass", why, change, sure=balanced)
    if balanced:
        why += ", each about as often"
        return "multiclass", Guess("task", "multiclass", why, change, sure=False)
    return "regression", Guess("task", "regression", why, change, sure=False)


def choose_id(columns: Sequence[Column]) -> Column | None:
    """A column that names each row: unique, and an id by its name or its look."""
    fitting = [c for c in columns if c.unique and c.kind in ("integer", "words")]
    by_look = [column for column in fitting if _looks_like_id(column)]
    by_name = [c for c in fitting if not c.title or _IDS.search(plain(c.title))]
    return next(iter([*by_name, *by_look]), None)


def _looks_like_id(column: Column) -> bool:
    if column.numbers is not None:
        return column.rows > 20 and bool((np.diff(column.numbers) == 1.0).all())
    return all(_UUID.fullmatch(str(value)) for value in column.counts)


def choose_time(columns: Sequence[Column]) -> tuple[Column, Moments] | None:
    """The column of event time: by its cells, and by its name where it holds numbers."""
    found: list[tuple[Column, Moments]] = []
    for column in columns:
        moments = column.moments or _in_numbers(column)
        if moments is not None and column.missing == 0 and column.absent == 0 and column.rows > 1:
            found.append((column, moments))
    found.sort(key=lambda pair: not _TIMES.search(plain(pair[0].title)))
    return found[0] if found else None


def _in_numbers(column: Column) -> Moments | None:
    if column.numbers is None or column.missing or column.odds:
        return None
    if not _TIMES.search(plain(column.title)) or column.constant:
        return None
    low, high = float(column.numbers.min()), float(column.numbers.max())
    for unit in (1.0, 1000.0):
        if _UNIX_S[0] <= low / unit and high / unit <= _UNIX_S[1]:
            return Moments(None, column.numbers / unit)
    if column.kind != "integer":
        return None
    return moments_of([int(number) for number in column.numbers])


def choose_key(columns: Sequence[Column]) -> tuple[Column, Guess] | None:
    """A column that says which entity an event is of: by its name, several events each."""
    fitting = [
        column
        for column in columns
        if column.kind in ("integer", "words")
        and column.missing == column.absent == 0
        and 1 < len(column.counts) <= column.rows / _ROWS_A_KEY
        and _KEYS.search(plain(column.title))
    ]
    if not fitting:
        return None
    best = max(fitting, key=lambda column: len(column.counts))
    why = f"its name, and {len(best.counts):,} values with several events each"
    change = "events.key (without it, windows run over all events together)"
    return best, Guess("key", f"`{best.title}`", why, change, sure=False)
