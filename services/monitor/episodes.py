"""The life of alerts: open, acknowledged, resolved; one per group at a time."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from shared.messages.types import Alert, CauseClass, RankedFeature, Severity

COLLECT_EVENTS = 5
"""Predictions between the first finding and its alert, so that fields that break together are one."""
QUIET_EVENTS = 1_000
"""Predictions without a further finding after which an alert resolves by itself. Findings until then
join it; those of a group that an operator resolved are not heard for as long: deduplication and
cooldown in one number.
"""


class Found(msgspec.Struct, frozen=True):
    """What a rule or a detector saw. `group` is what it is deduplicated by."""

    group: str
    kind: str
    cause: CauseClass
    severity: Severity
    since: datetime
    features: tuple[RankedFeature, ...] = ()
    evidence: dict[str, Any] = {}
    text: str = ""


class Episode(msgspec.Struct):
    """One alert as it stands. `emit_at`: prediction count at which its record is due, -1 for none."""

    alert: str
    found: Found
    state: Literal["open", "acknowledged", "resolved"]
    opened_at: int
    last_at: int
    emit_at: int
    emitted: bool = False


class Saved(msgspec.Struct):
    """The state of `Episodes`."""

    number: int
    live: dict[str, Episode]
    silenced: dict[str, int]


class Episodes:
    """Folds findings into alerts; `at` is the count of predictions, the clock here."""

    def __init__(self) -> None:
        self._number = 0
        self._live: dict[str, Episode] = {}
        self._silenced: dict[str, int] = {}
        self._next = -1

    def open(self, group: str) -> Episode | None:
        """The open episode of `group`."""
        return self._live.get(group)

    def add(self, found: Found, at: int, delay: int = COLLECT_EVENTS) -> None:
        """Open an episode, or join the group's open one; its record is due `delay` predictions on."""
        if at < self._silenced.get(found.group, -1):
            return
        episode = self._live.get(found.group)
        if episode is None:
            self._number += 1
            name = f"alert-{self._number:04d}"
            episode = Episode(name, found, "open", at, at, at + delay)
            self._live[found.group] = episode
        else:
            joined = _joined(episode.found, found)
            if _news(episode.found, joined) and episode.emit_at < 0:
                episode.emit_at = at + delay
            episode.found, episode.last_at = joined, at
        self._plan()

    def due(self, at: int, time: datetime, held: Callable[[Episode], bool]) -> Iterable[Alert]:
        """Records due now; `held(episode)` says that its condition goes on."""
        return self._due(at, time, held) if 0 <= self._next <= at else ()

    def _due(self, at: int, time: datetime, held: Callable[[Episode], bool]) -> Iterator[Alert]:
        for group, episode in list(self._live.items()):
            if 0 <= episode.emit_at <= at:
                yield self._emit(episode, time)
            if at - episode.last_at >= QUIET_EVENTS:
                if held(episode):
                    episode.last_at = at
                else:
                    yield from self.close(group, time)
        self._plan()

    def flush(self, time: datetime) -> Iterator[Alert]:
        """Everything that still waits to be told (the stream ends)."""
        for episode in self._live.values():
            if episode.emit_at >= 0:
                yield self._emit(episode, time)
        self._plan()

    def close(self, group: str, time: datetime) -> Iterator[Alert]:
        """Resolve the group's episode, if one is open."""
        episode = self._live.pop(group, None)
        if episode is not None:
            if not episode.emitted:
                yield self._emit(episode, time)
            episode.state = "resolved"
            yield _alert(episode, time)
        self._plan()

    def command(self, verb: str, target: str | None, at: int, time: datetime) -> Iterator[Alert]:
        """An operator's `acknowledge` or `resolve`; an alert that is not open is left alone."""
        for group, episode in list(self._live.items()):
            if episode.alert != target:
                continue
            if verb == "resolve":
                self._silenced[group] = at + QUIET_EVENTS
                yield from self.close(group, time)
            elif episode.state == "open":
                episode.state = "acknowledged"
                yield self._emit(episode, time)

    def save(self) -> Saved:
        """The state; encode it before going on."""
        return Saved(self._number, self._live, self._silenced)

    def load(self, saved: Saved) -> None:
        """Continue from `save`."""
        self._number, self._live, self._silenced = saved.number, saved.live, saved.silenced
        self._plan()

    def _plan(self) -> None:
        """The next count at which anything can be due: no work at all before."""
        times = [e.emit_at for e in self._live.values() if e.emit_at >= 0]
        times += [e.last_at + QUIET_EVENTS for e in self._live.values()]
        self._next = min(times, default=-1)

    def _emit(self, episode: Episode, time: datetime) -> Alert:
        episode.emit_at, episode.emitted = -1, True
        return _alert(episode, time)


def _joined(old: Found, new: Found) -> Found:
    """The newer finding over the older; features of both, the strongest word on each."""
    by_name = {f.feature: f for f in old.features}
    for f in new.features:
        before = by_name.get(f.feature)
        if before is None or f.evidence > before.evidence:
            by_name[f.feature] = f
    return msgspec.structs.replace(
        new,
        since=min(old.since, new.since),
        features=tuple(sorted(by_name.values(), key=lambda f: (-f.evidence, f.feature))),
        evidence={**old.evidence, **new.evidence},
    )


def _news(old: Found, new: Found) -> bool:
    names = {f.feature for f in old.features}
    return (old.cause, old.severity) != (new.cause, new.severity) or any(
        f.feature not in names for f in new.features
    )


def _alert(episode: Episode, time: datetime) -> Alert:
    found = episode.found
    named = ", ".join(f.feature for f in found.features[:5])
    return Alert(
        alert=episode.alert,
        kind=found.kind,
        cause=found.cause,
        severity=found.severity,
        state=episode.state,
        since=found.since,
        time=time,
        series=found.group,
        features=list(found.features),
        evidence={**found.evidence, "prediction": episode.opened_at},
        runbook=f"docs/runbooks.md#{found.kind.replace('_', '-')}",
        text=f"{named}: {found.text}" if named else found.text,
    )
