"""Which version is champion, which are shadows, and how it came to be: a fold over `models`."""

import msgspec

from shared.errors import Reject
from shared.messages.types import ModelEvent
from shared.registry.lifecycle import MODELS, START


class Step(msgspec.Struct, frozen=True):
    """One event of a version's life, and the state it was in before (`""`: unknown)."""

    event: ModelEvent
    was: str


BESIDE = ("shadow", "proposed", "canary")
"""States in which a version scores beside the champion."""


class _Saved(msgspec.Struct):
    champion: str | None
    previous: str | None
    states: dict[str, str]
    history: list[Step]
    snapshot: ModelEvent | None


class Live:
    """Folds `ModelEvent`s. `previous` is the champion to roll back to, if it still scores.

    A champion leaves only when another version becomes champion (the same record makes it a shadow), so
    a rollback is: the previous one becomes champion, then the failed one rejected.
    `history` holds every step of every version, without the snapshots (the newest is `snapshot`);
    it grows with the number of versions, not of events.
    """

    def __init__(self) -> None:
        self.champion: str | None = None
        self.previous: str | None = None
        self.states: dict[str, str] = {}
        self.history: list[Step] = []
        self.snapshot: ModelEvent | None = None

    @property
    def shadows(self) -> tuple[str, ...]:
        """Versions that score beside the champion, oldest first."""
        return tuple(model for model, state in self.states.items() if state in BESIDE)

    @property
    def canary(self) -> str | None:
        """The version that answers a share of the events."""
        return next((model for model, state in self.states.items() if state == "canary"), None)

    def been(self, model: str, state: str) -> bool:
        """Whether `model` is or ever was in `state`."""
        return any(s.event.model == model and s.event.state == state for s in self.history)

    def allows(self, model: str, state: str) -> bool:
        """Whether `model` may go to `state` now; decisions ask before they are written."""
        if model == self.champion or (state == "canary" and self.canary is not None):
            return False
        return MODELS.allows(self.states.get(model, START), state)

    def apply(self, event: ModelEvent) -> None:
        """Fold one event.

        Raises:
            Reject: the step is not in the table (`shared/registry/lifecycle.py`); nothing changed.
        """
        if event.state == "snapshot":
            self.snapshot = event
            return
        was = self.states.get(event.model, START)
        if not self.allows(event.model, event.state):
            raise Reject(
                f"{event.model} is {was or 'unknown'} and cannot become {event.state}: "
                f"{self._instead(event.model, was)}",
                check="lifecycle",
            )
        self._move(event.model, event.state)
        self.history.append(Step(event, was))

    def _instead(self, model: str, was: str) -> str:
        if model == self.champion:
            return "the champion stays until another version becomes champion"
        if self.canary is not None and "canary" in MODELS.after(was):
            return f"{self.canary} is the canary, and there is one at a time"
        return f"from there it may go to: {', '.join(MODELS.after(was)) or 'nowhere'}"

    def _move(self, model: str, state: str) -> None:
        before = self.champion
        self.states[model] = state
        if state == "champion":
            if before is not None and before != model:
                self.states[before] = "shadow"
                self.previous = before
            self.champion = model
        if self.previous is not None and self.states[self.previous] != "shadow":
            self.previous = None

    def dump(self) -> bytes:
        """The state as bytes."""
        saved = _Saved(self.champion, self.previous, self.states, self.history, self.snapshot)
        return msgspec.msgpack.encode(saved)

    @classmethod
    def load(cls, data: bytes) -> "Live":
        """The fold that `dump` wrote."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        live = cls()
        live.champion, live.previous = saved.champion, saved.previous
        live.states, live.history = saved.states, saved.history
        live.snapshot = saved.snapshot
        return live
