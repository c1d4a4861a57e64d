"""What groups have committed, as a fold over the compacted topic `checkpoints`.

Keys are `group/kind/name`:

- `group/turn/i`: one commit: the group's position, and where the streams that it writes end. With
  several input streams i counts the commits since the last checkpoint: a replay has to cut the streams
  where the commits cut them, or it would see their records in another order. A new checkpoint starts
  again at 0, so compaction bounds the topic. With one input stream i stays: one order is possible.
- `group/entry/name`: one state entry (deleted: a tombstone).
- `group/checkpoint/`: the position that the entries belong to.

Everything that one transaction changes is in that transaction, so what is read committed is consistent.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from shared.log.port import Checkpoint, Position

_CHECKPOINT = "checkpoint/"


class Turn(msgspec.Struct, frozen=True):
    """One commit. `epoch` counts the group's checkpoints; turns of older epochs mean nothing."""

    epoch: int = 0
    index: int = 0
    position: Position = {}
    ends: Position = {}


class Row(NamedTuple):
    """A record of the topic."""

    key: str
    value: bytes | None
    offset: int = -1


class _Saved(msgspec.Struct, frozen=True):
    position: Position


@dataclass
class Group:
    """What one group has committed."""

    cuts: list[Position] = field(default_factory=list)
    """Positions of the commits since the last checkpoint, oldest first."""
    last: Turn = field(default_factory=Turn)
    entries: dict[str, bytes] = field(default_factory=dict)
    saved: Position = field(default_factory=dict)
    applied: int = -1
    """The place in the topic up to which this is known."""

    def took(self, turn: Turn) -> None:
        """One commit more."""
        if turn.epoch != self.last.epoch:
            self.cuts.clear()
        elif turn.index == self.last.index and self.cuts:
            self.cuts.pop()
        self.cuts.append(turn.position)
        self.last = turn

    def following(self, position: Position | None, saves: bool, several: bool) -> Turn:
        """The turn of the next commit (position None: it stays), its `ends` still to be filled."""
        if saves:
            return Turn(
                self.last.epoch + 1, 0, self.last.position if position is None else position
            )
        if position is None or not several:
            return Turn(self.last.epoch, self.last.index, position or self.last.position)
        return Turn(self.last.epoch, self.last.index + 1, position)


class State:
    """All groups of a problem."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}

    def group(self, name: str) -> Group:
        """One group; a new one is empty."""
        return self._groups.setdefault(name, Group())

    def fold(self, rows: Iterable[Row]) -> None:
        """Take records of the topic, in order; what a group has had already changes nothing."""
        news = [row for row in rows if row.offset > self.group(row.key.partition("/")[0]).applied]
        for key, value, offset in news:
            name, _, rest = key.partition("/")
            group = self.group(name)
            group.applied = offset
            if rest.startswith("turn/") and value is not None:
                group.took(msgspec.json.decode(value, type=Turn))
            elif rest == _CHECKPOINT and value is not None:
                group.saved = msgspec.json.decode(value, type=_Saved).position
            elif rest.startswith("entry/"):
                _set(group.entries, rest.removeprefix("entry/"), value)

    def checkpoint(self, name: str) -> Checkpoint:
        """The last saved state of a group."""
        group = self.group(name)
        return Checkpoint(dict(group.saved), dict(group.entries))

    def saved(self) -> dict[str, Position]:
        """The position of each group's last checkpoint, where there is one."""
        return {name: dict(g.saved) for name, g in self._groups.items() if g.saved}

    def states(self, name: str = "state") -> list[bytes]:
        """Entries named `…/name`, of all groups."""
        entries = (group.entries for group in self._groups.values())
        return [
            value for found in entries for key, value in found.items() if key.endswith(f"/{name}")
        ]

    def end(self, stream: str) -> int:
        """Where a stream that groups number themselves ends."""
        return max((g.last.ends.get(stream, 0) for g in self._groups.values()), default=0)

    def bound(self, names: Iterable[str], streams: Iterable[str], position: Position) -> Position:
        """The first commit of one of these groups that lies ahead of `position`; empty if none does."""
        wanted = set(streams)
        for name in names:
            group = self.group(name)
            if not _ahead(group.last.position, position, wanted):
                continue
            cut = bisect_left(group.cuts, True, key=lambda cut: _ahead(cut, position, wanted))
            if cut < len(group.cuts):
                return group.cuts[cut]
        return {}


def records(
    name: str, turn: Turn, saved: Position | None, entries: Mapping[str, bytes | None]
) -> list[Row]:
    """What a commit adds to the topic."""
    rows = [Row(f"{name}/entry/{key}", value) for key, value in entries.items()]
    if saved is not None:
        rows.append(Row(f"{name}/{_CHECKPOINT}", msgspec.json.encode(_Saved(saved))))
    return [*rows, Row(f"{name}/turn/{turn.index}", msgspec.json.encode(turn))]


def _ahead(cut: Position, position: Position, streams: set[str]) -> bool:
    """Is `cut` a cut through these streams, nowhere behind `position`, and somewhere beyond it?"""
    pairs = [(position.get(stream, 0), cut.get(stream, 0)) for stream in streams]
    return (
        streams.issuperset(cut)
        and all(at <= end for at, end in pairs)
        and any(at < end for at, end in pairs)
    )


def _set(entries: dict[str, bytes], key: str, value: bytes | None) -> None:
    if value is None:
        entries.pop(key, None)
    else:
        entries[key] = value
