"""References from files: JSON lines of `{"reference", "key", "fields", "time"?, …}`, and tables."""

from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from services.collector.sources.jsonl_rows import lines_of
from services.collector.sources.row import time_of
from services.collector.sources.table import rows_of
from shared.errors import UsageError
from shared.problem.naming import reference_key
from shared.problem.spec import Events, LabelSpec, Problem, ReferenceSpec

_NO_LABEL = "\0"
"""No column has this name."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class ReferenceLine(NamedTuple):
    """A reference from a file, as its bytes; `time` None: it comes with the one before it."""

    value: bytes
    key: str
    time: datetime | None


def reference_lines(
    path: Path | None, problem: Problem, beside: Path | None = None
) -> Iterator[ReferenceLine]:
    """The lines of the file `path`, and the rows of the tables that the problem file names, which lie
    in the directory `beside`: by time, each file in its own order.

    Nothing is checked: what is no reference is passed on, for the featurizer to reject.

    Raises:
        UsageError: a file cannot be read, or lacks a column.
    """
    sources: list[Iterator[ReferenceLine]] = []
    if path is not None:
        sources.append(map(_line, lines_of(path)))
    for name, spec in problem.references.items():
        if spec.path is not None:
            sources.append(_table(name, spec, (beside or Path()) / spec.path, problem))
    timed = [_in_turn(source) for source in sources]
    return (line for _, line in merge(*timed, key=lambda pair: pair[0]))


def _in_turn(lines: Iterator[ReferenceLine]) -> Iterator[tuple[float, ReferenceLine]]:
    """Each with the newest time so far."""
    newest_s = float("-inf")
    for line in lines:
        if line.time is not None:
            newest_s = max(newest_s, line.time.timestamp())
        yield newest_s, line


def _line(raw: bytes) -> ReferenceLine:
    try:
        time = time_of(_decode(raw).get("time"))
    except (msgspec.DecodeError, RecursionError):
        time = None
    return ReferenceLine(raw, reference_key(raw), time)


def _table(
    name: str, spec: ReferenceSpec, path: Path, problem: Problem
) -> Iterator[ReferenceLine]:
    """Rows as references: read as events are, by the reference's fields."""
    as_events = problem.model_copy(
        update={
            "events": Events.model_construct(
                id=None, time=spec.time, key=spec.key, fields=spec.fields
            ),
            "label": LabelSpec.model_construct(field=_NO_LABEL, classes=None),
            "source": None,
        }
    )
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; references.{name}.path names it.")
    try:
        for row in rows_of(path, as_events):
            yield _row(name, spec, row.event, row.time)
    except UsageError as error:  # it names the sections of events
        raise UsageError(str(error).replace("events.", f"references.{name}.")) from error


def _row(name: str, spec: ReferenceSpec, event: bytes, time: datetime | None) -> ReferenceLine:
    try:
        fields = _decode(event)
    except (msgspec.DecodeError, RecursionError):
        return ReferenceLine(event, reference_key(event), None)
    said: dict[str, Any] = {"reference": name, "key": fields.pop(spec.key, None)}
    if spec.time is not None:
        written = fields.pop(spec.time, None)
        said["time"] = written if time is None else time
    value = _encode({**said, "fields": fields})
    return ReferenceLine(value, reference_key(value), time)
