"""What a policy of retraining is: a fold of what happens into wishes."""

from datetime import datetime
from typing import Any

import msgspec

from shared.messages.types import Alert


class Wish(msgspec.Struct):
    """A retraining that is asked for, once `due` outcomes have been seen."""

    due: int
    trigger: str
    reason: str


class Policy:
    """Folds outcomes, alerts and ticks; each may bring a wish. `at` counts outcomes, the clock here.

    All that it remembers is in `moment`, a `msgspec.Struct`. Any number of policies live side by side;
    a fit that one of them asked for is a fit for all of them.
    """

    moment: Any

    def outcome(self, at: int, loss: float | None) -> Wish | None:
        """One more outcome. `loss`: what it cost in the metric's loss; None where nothing can be said
        of the newest fit: no first label, or predicted before that fit took effect.
        """
        return None

    def alert(self, at: int, alert: Alert) -> Wish | None:
        """An alert opened, or was updated."""
        return None

    def tick(self, at: int, now: datetime) -> Wish | None:
        """Time passed."""
        return None

    def fitted(self, at: int) -> None:
        """A fit took effect, whatever came of it."""

    def dump(self) -> bytes:
        """The whole state."""
        return msgspec.msgpack.encode(self.moment)

    def load(self, data: bytes) -> None:
        """Continue exactly where `dump` was."""
        self.moment = msgspec.msgpack.decode(data, type=type(self.moment))
