"""Which suffix is read by what: a new format is one module and one line here."""

from collections.abc import Callable, Iterator
from pathlib import Path

from services.collector.sources.csv_rows import csv_rows
from services.collector.sources.generated_rows import generated_rows
from services.collector.sources.jsonl_rows import jsonl_rows
from services.collector.sources.row import Row
from shared.errors import UsageError
from shared.problem.spec import Problem


def _parquet_rows(path: Path, problem: Problem) -> Iterator[Row]:
    from services.collector.sources.parquet_rows import parquet_rows  # half a second of pyarrow

    return parquet_rows(path, problem)


SOURCES: dict[str, Callable[[Path, Problem], Iterator[Row]]] = {
    ".csv": csv_rows,
    ".tsv": csv_rows,
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".parquet": _parquet_rows,
}


def rows_of(path: Path | None, problem: Problem) -> Iterator[Row]:
    """The rows of the file `path`, one at a time, by its suffix; None: what `source.generate` declares.

    Raises:
        UsageError: there is no such file, or no format for its suffix, or it does not fit `problem`.
    """
    if path is not None:
        return SOURCES[kind_of(path)](path, problem)
    generate = problem.source.generate if problem.source else None
    if generate is None:
        raise UsageError("There are no events: name a file with --events FILE.")
    return generated_rows(problem, generate)


def kind_of(path: Path) -> str:
    """The suffix by which the file `path` is read.

    Raises:
        UsageError: there is no such file, or no format for its suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in SOURCES:
        known = ", ".join(SOURCES)
        raise UsageError(f"{path}: files of events end in {known}; convert it, or rename it.")
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file. --events or source.path names it.")
    return suffix
