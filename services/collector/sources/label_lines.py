"""A file of labels, as JSON lines of `{"id", "label", "time"?, …}`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from services.collector.sources.jsonl_rows import lines_of
from services.collector.sources.row import LabelLine, text_of, time_of


class _Head(msgspec.Struct):
    id: Any = None
    time: Any = None


def label_lines(path: Path) -> Iterator[LabelLine]:
    """First the lines that have a time, in file order, then the others: the file is read twice.

    Nothing is checked: what is no label is passed on, for the joiner to reject.

    Raises:
        UsageError: the file cannot be read.
    """
    for timed in (True, False):
        for raw in lines_of(path):
            line = _line(raw)
            if (line.time is not None) is timed:
                yield line


def _line(raw: bytes) -> LabelLine:
    try:
        head = msgspec.json.decode(raw, type=_Head)
    except (msgspec.DecodeError, RecursionError):
        return LabelLine(raw, None, None)
    return LabelLine(raw, text_of(head.id), time_of(head.time))
