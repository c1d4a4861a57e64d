"""What the consistency auditor found, summed over its windows."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from services.console.words import count, counted, duration, moment, number, share
from shared.messages.types import Audit
from shared.problem.spec import Problem

KINDS = ("mismatch", "missing", "extra")


class Differing(msgspec.Struct):
    """One feature: how often it differed, up to which window, and the newest example."""

    mismatch: int = 0
    missing: int = 0
    extra: int = 0
    until: datetime | None = None
    example: str = ""


class Audited(msgspec.Struct):
    """All windows so far. `compared`: predictions; the other counts as in `Audit`."""

    windows: int = 0
    compared: int = 0
    unmatched: int = 0
    unfounded: int = 0
    foreign: int = 0
    since: datetime | None = None
    until: datetime | None = None
    features: dict[str, Differing] = {}


class Audits:
    """Folds audit windows."""

    def __init__(self) -> None:
        self.found = Audited()
        self._changed = False

    def take(self, audit: Audit) -> None:
        """One window more."""
        found = self.found
        found.windows += 1
        found.compared += audit.compared
        found.unmatched += audit.unmatched
        found.unfounded += audit.unfounded
        found.foreign += audit.foreign
        found.since = audit.start if found.since is None else min(audit.start, found.since)
        found.until = audit.end if found.until is None else max(audit.end, found.until)
        for row in audit.features:
            sums = found.features.setdefault(row.feature, Differing())
            sums.mismatch += row.mismatch
            sums.missing += row.missing
            sums.extra += row.extra
            sums.until = audit.end
            sums.example = (
                f"{row.id}: served {number(row.served)}, raw events give {number(row.expected)}"
            )
        self._changed = True

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One entry."""
        if self._changed:
            self._changed = False
            yield "audits", msgspec.msgpack.encode(self.found)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        if "audits" in entries:
            self.found = msgspec.msgpack.decode(entries["audits"], type=Audited)


class AuditRow(msgspec.Struct, frozen=True):
    """A feature that differed, in words."""

    feature: str
    mismatch: int
    missing: int
    extra: int
    share: str
    until: str
    example: str


class AuditCard(msgspec.Struct, frozen=True):
    """The audit in words. `tone`: good, bad, or nothing where nothing was compared."""

    text: str
    tone: str
    fine: str
    rows: list[AuditRow]


def audit_card(audits: Audits, problem: Problem) -> AuditCard:
    """What the page shows; the feature that differs most first."""
    found, spec = audits.found, problem.audit
    rows = [
        AuditRow(
            name, f.mismatch, f.missing, f.extra,
            share(f.mismatch + f.missing + f.extra, found.compared), moment(f.until), f.example,
        )
        for name, f in found.features.items()
    ]  # fmt: skip
    rows.sort(key=lambda row: (-(row.mismatch + row.missing + row.extra), row.feature))
    fine = (
        f"Share {spec.share:g} (audit.share), windows of {duration(spec.window.total_seconds())} of "
        f"event time, {count(found.windows)} so far. Features are folded anew from the producers' "
        "bytes and compared bit by bit with what was served."
    )
    if spec.share == 0.0:
        return AuditCard("Switched off: audit.share is 0.", "", "", [])
    unfounded = ""
    if found.unfounded:
        unfounded = (
            f" {counted(found.unfounded, 'prediction')} not compared: the auditor began later."
        )
    if not found.compared and unfounded:
        return AuditCard(f"Nothing could be compared.{unfounded}", "warn", fine, [])
    if not found.compared:
        text = "No window with a sampled event is complete yet; audit.share says how many are sampled."
        return AuditCard(text, "", fine, [])
    names = len(problem.feature_names)
    text = f"{counted(len(rows), 'feature')} of {names} differed from what raw events give"
    text += f", over {counted(found.compared, 'compared prediction')}."
    if found.foreign:
        text += f" {counted(found.foreign, 'prediction')} made with another definition."
    if found.unmatched:
        text += f" {counted(found.unmatched, 'prediction')} without a raw event to compare with."
    text += unfounded
    bad = rows or found.foreign or found.unmatched
    return AuditCard(text, "bad" if bad else "good", fine, rows)


def audit_summary(audits: Audits) -> dict[str, Any]:
    """What `run --json` prints of it."""
    found: dict[str, Any] = msgspec.to_builtins(audits.found)
    return found
