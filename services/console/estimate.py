"""The champion's accuracy on events whose labels have not come, and how far off such estimates were."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from shared.evaluation.unlabelled import BLOCK, Estimate, Track, answers_of, score_of
from shared.messages.types import Outcome, Prediction
from shared.table import Table

MOST_VERSIONS = 8
IN_ENTRY = 16
"""Events of one state entry: they come and go in order."""
LEAST_EVENTS = 30
"""Nothing is said of fewer."""


class _Saved(msgspec.Struct):
    champion: str
    newest: datetime | None
    versions: list[str]


class Estimated:
    """Folds predictions and outcomes. Every version that answers is followed, so that a new champion
    has been checked already in shadow; the newest ones are kept. `waiting`: how sure the champion was
    of its newest 500 events that have no label.
    """

    def __init__(self, numbers: bool) -> None:
        self.champion = ""
        self.waiting: Table[float] = Table("unlabelled", BLOCK, float, IN_ENTRY)
        self._numbers = numbers
        self._newest: datetime | None = None
        self._tracks: dict[str, Track] = {}
        self._changed = False
        self._learned: set[str] = set()

    def predicted(self, prediction: Prediction) -> None:
        """One answer."""
        self._changed = True
        if self._newest is None or prediction.time > self._newest:
            self._newest = prediction.time
        champion = prediction.champion or prediction.model
        if champion != self.champion:
            self.champion = champion
            for name, _ in list(self.waiting.items()):
                self.waiting.pop(name)
        said = score_of(answers_of(prediction).get(champion, {}))
        if said is not None:
            self.waiting.put(prediction.id, said)

    def labelled(self, outcome: Outcome) -> None:
        """A label; corrections and revocations say nothing new of what was estimated."""
        self.waiting.pop(outcome.id)
        if outcome.revision or outcome.label is None or self._newest is None:
            return
        self._changed = True
        for version, answer in answers_of(outcome).items():
            track = self._tracks.pop(version, None) or Track.of(self._numbers)
            self._tracks[version] = track  # the newest last
            self._learned.add(version)
            track.labelled(answer, outcome.label, outcome.time, self._newest)
        while len(self._tracks) > MOST_VERSIONS:
            oldest = next(iter(self._tracks))
            del self._tracks[oldest]
            self._learned.add(oldest)

    @property
    def believed(self) -> bool:
        """Whether enough labels of the champion's answers have come."""
        track = self._tracks.get(self.champion)
        return track is not None and track.belief.newest is not None

    def now(self) -> Estimate | None:
        """As of now; None: too few labels so far, or too few events that wait for one."""
        track = self._tracks.get(self.champion)
        if track is None or len(self.waiting) < LEAST_EVENTS:
            return None
        return track.estimate([score for _, score in self.waiting.items()])

    def summary(self) -> dict[str, Any] | None:
        """What `run --json` prints of it."""
        found = self.now()
        if found is None:
            return None
        name = "mae" if self._numbers else "accuracy"
        value = found.loss if self._numbers else 1 - found.loss
        return {
            "model": self.champion,
            name: value,
            "give_or_take": found.half,
            "events": found.n,
            "checked_blocks": found.blocks,
            "off_by": found.off_by,
        }

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """One small entry, one a version that learned, one an event that came or was labelled."""
        if not self._changed:
            return
        self._changed = False
        saved = _Saved(self.champion, self._newest, list(self._tracks))
        yield "estimate", msgspec.msgpack.encode(saved)
        for version in sorted(self._learned):
            track = self._tracks.get(version)
            yield f"estimate:{version}", None if track is None else msgspec.msgpack.encode(track)
        self._learned.clear()
        yield from self.waiting.changes()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        self.waiting.restore(entries)
        if "estimate" in entries:
            saved = msgspec.msgpack.decode(entries["estimate"], type=_Saved)
            self.champion, self._newest = saved.champion, saved.newest
            self._tracks = {
                version: msgspec.msgpack.decode(entries[f"estimate:{version}"], type=Track)
                for version in saved.versions
            }
