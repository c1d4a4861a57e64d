"""`headrace rejected replay`: rejected events once more, after a mend.

A replayed event goes to the end of `events` as it was, marked with where it first stood; the same
transaction notes its number as replayed, so a second replay finds nothing to do. Its time is judged
no more: it is late because we were.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple, cast

from msgspec.structs import replace

from services import discover
from services.inspection import Run
from shared import wiring
from shared.errors import UsageError
from shared.log.port import Append, Log
from shared.messages.codec import decode
from shared.messages.streams import EVENTS, REJECTED, VALID, place
from shared.messages.types import Rejected
from shared.problem.naming import event_key
from shared.problem.spec import Problem
from shared.rejecting import REPLAYED
from shared.settings import load
from shared.stage import Record, Stage, Tools

GROUP = "replay"
_PAGE = 1_000
_SHOWN = 50


class Again(NamedTuple):
    """A rejected record: what would become of it now. `event` is None where it cannot be replayed."""

    number: int
    verdict: str
    reason: str
    event: Record | None = None


def replay(
    run: Run, problem: Problem, check: str, numbers: Sequence[int], really: bool
) -> dict[str, Any]:
    """Judge rejected events by `problem`, and (`really`) send those that pass once more.

    Raises:
        UsageError: the run is of another problem. DataDirInUse: a run is live there.
    """
    if problem.name != run.problem:
        raise UsageError(f"the run is of the problem {run.problem}, the file says {problem.name}")
    with closing(wiring.open_log(load(), *run, service="command")) as log:
        found = list(judged(log, problem, check, frozenset(numbers)))
        if really:
            send(log, problem, found)
    passing = sum(one.event is not None for one in found)
    return {
        "replayed" if really else "would_pass": passing,
        "others": dict(Counter(one.verdict for one in found if one.event is None)),
        "records": [
            {"number": one.number, "verdict": one.verdict, "reason": one.reason}
            for one in found[:_SHOWN]
        ],
        "next": _next(run, passing, really),
    }


def judged(log: Log, problem: Problem, check: str, numbers: frozenset[int]) -> Iterator[Again]:
    """Every rejected record that is asked for (no number: all), with what would become of it."""
    done = {int(name) for name in log.checkpoint(GROUP).entries}
    judge = _judge(problem)
    topic = f"{problem.name}.{EVENTS}"
    for number, row in _rejected(log):
        if (numbers and number not in numbers) or (check and row.check != check):
            continue
        if number in done:
            yield Again(number, "replayed before", row.reason)
        elif row.topic != topic:
            yield Again(number, "no event", f"it comes from {row.topic}")
        elif row.check == "duplicate":
            yield Again(number, "duplicate", "an event of its id was taken")
        else:
            yield _tried(number, _event(log, row), judge, row)


def send(log: Log, problem: Problem, found: Iterable[Again]) -> None:
    """Append the events that pass, and note their numbers; all or none of each thousand."""
    passing = [one for one in found if one.event is not None]
    for at in range(0, len(passing), _PAGE):
        part = passing[at : at + _PAGE]
        with log.begin(GROUP) as transaction:
            transaction.append(
                Append(EVENTS, r.value, _key(r, problem), r.timestamp_ms, r.headers)
                for r in (one.event for one in part)
                if r is not None
            )
            transaction.save([(str(one.number), b"1") for one in part], {})


def _judge(problem: Problem) -> Stage:
    """A fresh stage of the service that decides on events; it asks nothing of the outside."""
    (build,) = (s.build for s in discover() if EVENTS in s.reads and VALID in s.writes)
    assert build is not None
    return build(problem, cast(Tools, None))


def _tried(number: int, event: Record | None, judge: Stage, row: Rejected) -> Again:
    if event is None:
        return Again(number, "bytes gone", "it was long, and the log holds it no longer")
    (out,) = judge.handle([event])
    if out.stream is VALID:
        return Again(number, "passes", row.reason, event)
    return Again(number, f"rejected: {out.value.check}", out.value.reason)


def _event(log: Log, row: Rejected) -> Record | None:
    """The event as it came, from the log, else from its rejection."""
    where = place(EVENTS, row.partition)
    stored = log.read([EVENTS], log.ends(EVENTS) | {where: row.offset}, 1)
    mark = {REPLAYED: f"{row.partition}:{row.offset}".encode()}
    if stored and (stored[0].partition, stored[0].offset) == (row.partition, row.offset):
        return replace(stored[0], headers=mark | dict(stored[0].headers or {}))
    if row.raw_size_bytes is not None:
        return None
    raw = base64.b64decode(row.raw)
    return Record(EVENTS, raw, None, row.partition, row.offset, headers=mark)


def _key(record: Record, problem: Problem) -> str | None:
    return record.key or event_key(record.value, record.headers, problem)


def _rejected(log: Log) -> Iterator[tuple[int, Rejected]]:
    start = 0
    while records := log.read([REJECTED], {str(REJECTED): start}, _PAGE):
        for record in records:
            yield record.offset, decode(REJECTED, record.value)
        start = records[-1].offset + 1


def _next(run: Run, passing: int, really: bool) -> str:
    if not passing:
        return "Nothing to replay."
    if not really:
        return "Nothing was changed. To send them once more: the same command with --yes."
    return f"They are at the end of {run.problem}.{EVENTS}; a live service takes them, or the next run."
