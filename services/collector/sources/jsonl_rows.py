"""JSON lines: each line is an event; its bytes are passed on as they are, less the label."""

import json
from collections.abc import Iterator
from json import JSONDecoder
from pathlib import Path
from typing import Any, NamedTuple

from services.collector.sources.row import Row, is_unicode, label_reader, text_of, time_of
from services.collector.sources.written import Written
from shared.errors import UsageError
from shared.problem.spec import Problem

_LONGEST_LINE = 16 * 1024 * 1024
_BLANKS = " \t\r\n"
_decoder = JSONDecoder()


class Member(NamedTuple):
    """A name and value of an object, and where its text starts and ends; the next member's start."""

    name: str
    value: Any
    start: int
    value_start: int
    end: int
    next: int


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file without line ends; blank ones are no lines.

    A line over 16 MB comes in pieces, each of them no JSON: memory stays bounded.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            if file.read(3) != b"\xef\xbb\xbf":
                file.seek(0)
            while line := file.readline(_LONGEST_LINE):
                if line := line.strip():
                    yield line
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def jsonl_rows(path: Path, problem: Problem) -> Iterator[Row]:
    """The lines of a JSON lines file, in file order.

    The label's name and value are cut out of an object, everything else keeps its bytes (repeated
    names, long numbers). A line that is no object, or names the label twice, is passed on whole.
    Where `source` gives other names or a time format, an object is written anew, its other values as
    they were.

    Raises:
        UsageError: the file cannot be read.
    """
    read_label, written = label_reader(problem), Written(problem)
    events, wanted = problem.events, problem.label.field
    for line in lines_of(path):
        try:
            text = line.decode()
            members = members_of(text)
            if written.columns or written.time:
                text = _anew(members, text, written)
                line, members = text.encode(), members_of(text)
        except (ValueError, RecursionError):
            yield Row(line)
            continue
        found = {member.name: member.value for member in members}
        labels = [member for member in members if member.name == wanted]
        label = None
        if len(labels) == 1:
            line = _without(text, labels[0], last=labels[0] is members[-1]).encode()
            label = read_label(_scalar(labels[0], text))
        yield Row(
            line,
            label,
            text_of(found.get(events.id)) if events.id else None,
            time_of(found.get(events.time)) if events.time else None,
            text_of(found.get(events.key)) if events.key else None,
        )


def members_of(text: str) -> list[Member]:
    """The members of the JSON object that `text` is, in order, repeated names included.

    Raises:
        ValueError, RecursionError: it is no JSON object.
    """
    at, members = _past_blanks(text, 0), []
    if text[at : at + 1] != "{":
        raise ValueError("no object")
    at = _past_blanks(text, at + 1)
    more = text[at : at + 1] != "}"
    while more:
        start = at
        if text[at : at + 1] != '"':
            raise ValueError("no name")
        name, at = _decoder.raw_decode(text, at)
        at = _past_blanks(text, at)
        if text[at : at + 1] != ":":
            raise ValueError("no colon")
        value_start = _past_blanks(text, at + 1)
        value, end = _decoder.raw_decode(text, value_start)
        at = _past_blanks(text, end)
        more = text[at : at + 1] == ","
        if more:
            at = _past_blanks(text, at + 1)
        members.append(Member(name, value, start, value_start, end, at))
    if text[at : at + 1] != "}" or _past_blanks(text, at + 1) != len(text):
        raise ValueError("no end")
    return members


def _anew(members: list[Member], text: str, written: Written) -> str:
    """The object `text` with the names and times that `written` says."""
    parts = []
    for member, name in zip(members, written.names([m.name for m in members]), strict=True):
        value = text[member.value_start : member.end]
        if name == written.time:
            value = json.dumps(written.moment(member.value))
        parts.append(f"{json.dumps(name)}: {value}")
    return "{" + ", ".join(parts) + "}"


def _without(text: str, member: Member, last: bool) -> str:
    """`text` without `member` and the comma after it, or before it when it is the last."""
    if not last:
        return text[: member.start] + text[member.next :]
    before = text[: member.start].rstrip(_BLANKS)
    return before.removesuffix(",") + text[member.end :]


def _scalar(member: Member, text: str) -> Any:
    """The label's value; what is no scalar, or no Unicode, as JSON text for the joiner to reject."""
    value = member.value
    if isinstance(value, list | dict) or (isinstance(value, str) and not is_unicode(value)):
        return text[member.value_start : member.end]
    return value


def _past_blanks(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _BLANKS:
        at += 1
    return at
