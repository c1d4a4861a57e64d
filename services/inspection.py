"""Looking into a run from the command line; operators' commands into it.

Reading opens the log read-only, also while a run is live. A command goes to the live run over HTTP,
else onto the log, where the next run finds it.
"""

import base64
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from services.console.standing import standing
from shared import wiring
from shared.errors import Reject, UntrustedArtefact, UsageError
from shared.log.port import Append
from shared.messages.codec import decode
from shared.messages.streams import ALERTS, CONTROL, JOBS, MODELS, REJECTED, Stream
from shared.messages.types import Alert, Control, Job, ModelEvent
from shared.problem.load import load_problem
from shared.registry.decisions import signed_by
from shared.registry.gains import scored
from shared.registry.live import Live
from shared.runtime.clock import now
from shared.settings import load

RUNS = Path(".headrace")
_PAGE = 1_000
_STANDING = ("audits", "coverage")
Verb = Literal["promote", "reject", "rollback", "retrain", "cancel", "acknowledge", "resolve"]


class Run(NamedTuple):
    """The run that is meant: its directory, and on a shared log its problem's name."""

    directory: Path
    problem: str


def chosen(data_dir: Path | None, problem_file: Path | None) -> Run:
    """The run that is meant.

    Raises:
        UsageError: none was named, and there is not exactly one; or the problem file is wrong.
    """
    if problem_file is not None:
        name = load_problem(problem_file).name
        return Run(data_dir or RUNS / name, name)
    if load().log.startswith("kafka://"):
        raise UsageError("HEADRACE_LOG names Kafka: say which problem with --problem PROBLEM.yaml")
    if data_dir is not None:
        return Run(data_dir, data_dir.name)
    found = sorted(path.parent for path in RUNS.glob("*/log.db"))
    if len(found) != 1:
        names = ", ".join(map(str, found)) or "none"
        raise UsageError(f"name the run with --data-dir; found in {RUNS}: {names}")
    return Run(found[0], found[0].name)


def messages(run: Run, stream: Stream, start: int = 0) -> Iterator[tuple[int, Any]]:
    """Offset and message of every record of `stream` (of one partition) from `start` on."""
    reader = wiring.open_reader(load(), *run)
    try:
        while records := reader.read([stream], {str(stream): start}, _PAGE):
            for record in records:
                yield record.offset, decode(stream, record.value)
            start = records[-1].offset + 1
    finally:
        reader.close()


def status(run: Run) -> dict[str, Any]:
    """Ends of the streams, the live model, open alerts, jobs, audit and coverage as of the console's
    last checkpoint; on Kafka what lags, by partition.
    """
    settings = load()
    reader = wiring.open_reader(settings, *run)
    ends = {str(stream): end for stream in Stream if (end := reader.end(stream))}
    kept = [(name, value) for name in _STANDING for value in reader.states(name)]
    reader.close()
    live = _live(run)
    open_alerts = [row["alert"] for row in alerts(run) if row["state"] == "open"]
    told = [job for _, job in messages(run, JOBS)]
    states = {job.job: job.state for job in told if job.state != "settled"}
    where = {"log": settings.log} if settings.log else {"directory": str(run.directory)}
    return {
        **where,
        "records": ends,
        "champion": live.champion,
        "shadows": list(live.shadows),
        "open_alerts": open_alerts,
        "jobs": states,
        "policies": scored(told),
        **standing(kept),
        **wiring.standings(settings, run.problem),
    }


def alerts(run: Run) -> list[dict[str, Any]]:
    """The newest state of each alert, oldest alert first."""
    newest: dict[str, Alert] = {alert.alert: alert for _, alert in messages(run, ALERTS)}
    return [msgspec.to_builtins(alert) for alert in newest.values()]


def follow_alerts(run: Run, show: Callable[[dict[str, Any]], None]) -> None:
    """Show each alert record as it comes, until interrupted."""
    position = 0
    while True:
        for offset, alert in messages(run, ALERTS, position):
            show(msgspec.to_builtins(alert))
            position = offset + 1
        time.sleep(1.0)


def rejected(run: Run, check: str, limit: int) -> dict[str, Any]:
    """How many of each check, and the newest `limit` (of `check`, if given)."""
    rows = list(messages(run, REJECTED))
    listed = [(offset, row) for offset, row in rows if not check or row.check == check]
    return {
        "total": len(rows),
        "by_check": dict(Counter(row.check for _, row in rows).most_common()),
        "newest": [
            {"number": n, "check": r.check, "field": r.field, "reason": r.reason,
             "from": f"{r.topic}:{r.partition}:{r.offset}"}
            for n, r in listed[-limit:]
        ],
    }  # fmt: skip


def rejected_one(run: Run, number: int) -> dict[str, Any]:
    """One rejected record, its raw bytes as text where they are text.

    Raises:
        UsageError: there is none with this number.
    """
    for offset, row in messages(run, REJECTED, number):
        if offset == number:
            shown: dict[str, Any] = msgspec.to_builtins(row)
            return {**shown, "raw_text": base64.b64decode(row.raw).decode(errors="replace")}
        break
    raise UsageError(f"there is no rejected record {number}; `headrace rejected list` shows them")


def models(run: Run) -> list[dict[str, Any]]:
    """Every version with its state and the step that led there."""
    live = _live(run)
    last = {step.event.model: step.event for step in live.history}
    return [
        {"model": model, "state": state, "since": str(last[model].time), "by": last[model].by,
         "reason": last[model].reason}
        for model, state in live.states.items()
    ]  # fmt: skip


def at_work(run: Run) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """The signed manifests by version (of the newest snapshot: `snapshot`), and which score now."""
    live = _live(run)
    signed = {
        "snapshot" if event.state == "snapshot" else event.model: event.manifest
        for _, event in messages(run, MODELS)
        if event.manifest is not None
    }
    return signed, {*live.shadows, str(live.champion), "snapshot"}


def history(run: Run, version: str) -> tuple[list[ModelEvent], list[Job]]:
    """The records of a version's life, and those of the job that made it.

    Raises:
        UsageError: there is no such version.
    """
    steps = [e for _, e in messages(run, MODELS) if e.model == version and e.state != "snapshot"]
    told = [job for _, job in messages(run, JOBS)]
    names = {job.job for job in told if job.model == version}
    jobs = [job for job in told if job.job in names]
    if not steps and not jobs:
        raise UsageError(f"there is no version {version}; `headrace models list` shows them")
    return steps, jobs


def compare(run: Run, version: str) -> list[dict[str, Any]]:
    """The steps of one version with their evidence: why its job was asked for, what was tried, what
    came of it.

    Raises:
        UsageError: there is no such version.
    """
    steps, jobs = history(run, version)
    jobs = [job for job in jobs if job.evidence or job.state == "requested"]
    signed = _signatures(run)
    rows = [{"step": e.state, "time": str(e.time), "by": e.by, "reason": e.reason,
             "signed": signed(e), "evidence": e.evidence} for e in steps]  # fmt: skip
    told = [{"step": f"job {j.job} {j.state}", "time": str(j.time), "reason": j.reason,
             "signed": signed(j), "evidence": j.evidence} for j in jobs]  # fmt: skip
    settled = sum(job.state == "settled" for job in jobs)
    return [*told[: len(told) - settled], *rows, *told[len(told) - settled :]]


def _signatures(run: Run) -> Callable[[ModelEvent | Job], str]:
    """Says of a record who signed it, as far as the key of this place can tell."""
    settings = load()
    path = settings.signing_key or run.directory / wiring.KEY
    verifier = wiring.open_keys(settings, run.directory).verifier if path.exists() else None

    def signed(record: ModelEvent | Job) -> str:
        if record.signature is None:
            return "no"
        if verifier is None:
            return f"with key {record.signature['key']}; not checked, {path} is not here"
        try:
            return f"with key {signed_by(record, verifier)}, checked"
        except UntrustedArtefact as why:
            return f"NOT VALID: {why}"

    return signed


def command(run: Run, verb: Verb, target: str | None, reason: str) -> str:
    """Give a command; what happens next, in words."""
    control = Control(command=verb, time=now(), by="command line", target=target, reason=reason)
    url = run.directory / "url"
    if url.exists() and _post(url.read_text().strip(), control):
        return (
            f"{verb}: on the log of the live run; it takes effect at the next freshness boundary."
        )
    log = wiring.open_log(load(), *run, service="command")
    try:
        with log.begin("command") as transaction:
            at_ms = int(control.time.timestamp() * 1000)
            value = msgspec.json.encode(control)
            transaction.append([Append(CONTROL, value, timestamp_ms=at_ms)])
    finally:
        log.close()
    return f"{verb}: on the log; no run is live, the next one carries it out."


def cancel(run: Run, job: str, reason: str) -> str:
    """Call a job off; what happens next, in words.

    Raises:
        UsageError: no such job is under way.
    """
    states = {row.job: row.state for _, row in messages(run, JOBS)}
    under_way = [name for name, state in states.items() if state in ("requested", "running")]
    if job not in under_way:
        is_what = f"{job} is {states[job]}" if job in states else f"there is no {job}"
        raise UsageError(f"{is_what}; under way: {', '.join(under_way) or 'none'}")
    return command(run, "cancel", job, reason)


def text(rows: Any, indent: str = "") -> str:
    """Rows as people read them."""
    if isinstance(rows, dict):
        return "\n".join(_line(f"{indent}{key}", value, indent) for key, value in rows.items())
    if isinstance(rows, list):
        return f"\n{indent}--\n".join(text(row, indent) for row in rows) or f"{indent}(none)"
    return f"{indent}{rows}"


def _line(key: str, value: Any, indent: str) -> str:
    if isinstance(value, dict | list) and value:
        return f"{key}:\n{text(value, indent + '  ')}"
    return f"{key}: {value if value not in ({}, [], None) else '-'}"


def _live(run: Run) -> Live:
    live = Live()
    event: ModelEvent
    for _, event in messages(run, MODELS):
        with suppress(Reject):  # the services ignore it too
            live.apply(event)
    return live


def _post(url: str, control: Control) -> bool:
    """Hand the command to the live run; False when nobody is there any more."""
    request = urllib.request.Request(  # noqa: S310  a loopback URL that our own run wrote
        f"{url}/api/control", data=msgspec.json.encode(control),
        headers={"content-type": "application/json", "x-headrace": "command"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return bool(answer.status < 300)
    except urllib.error.HTTPError as error:
        raise UsageError(
            f"the live run refused: {error.read().decode(errors='replace')}"
        ) from error
    except OSError:
        return False
