"""Several policies that must agree."""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from shared.evaluation.retraining.port import Policy, Wish
from shared.messages.types import Alert


class _Votes(msgspec.Struct):
    """`asked`: the newest wish of each policy, by its place; `inner`: their states, when dumped."""

    asked: dict[int, Wish] = {}
    inner: list[bytes] = []


class Votes(Policy):
    """Asks when `need` policies have asked within `within` outcomes; then all votes are spent."""

    def __init__(self, policies: Sequence[Policy], need: int, within: int) -> None:
        self._policies = policies
        self._need = need
        self._within = within
        self.moment = _Votes()

    def outcome(self, at: int, loss: float | None) -> Wish | None:
        """See the port."""
        return self._poll(at, lambda policy: policy.outcome(at, loss))

    def alert(self, at: int, alert: Alert) -> Wish | None:
        """See the port."""
        return self._poll(at, lambda policy: policy.alert(at, alert))

    def tick(self, at: int, now: datetime) -> Wish | None:
        """See the port."""
        return self._poll(at, lambda policy: policy.tick(at, now))

    def fitted(self, at: int) -> None:
        """See the port."""
        self.moment.asked = {}
        for policy in self._policies:
            policy.fitted(at)

    def dump(self) -> bytes:
        """See the port."""
        self.moment.inner = [policy.dump() for policy in self._policies]
        return super().dump()

    def load(self, data: bytes) -> None:
        """See the port."""
        super().load(data)
        for policy, saved in zip(self._policies, self.moment.inner, strict=True):
            policy.load(saved)

    def _poll(self, at: int, ask: Callable[[Policy], Wish | None]) -> Wish | None:
        asked = self.moment.asked
        for place, policy in enumerate(self._policies):
            wish = ask(policy)
            if wish is not None:
                asked[place] = wish
        if not asked:
            return None
        standing = [
            wish for wish in asked.values() if wish.due <= at and at - wish.due <= self._within
        ]
        if len(standing) < self._need:
            return None
        self.moment.asked = {}
        what = "; ".join(wish.reason for wish in standing)
        return Wish(at, "votes", f"{len(standing)} of {len(self._policies)} agree: {what}")
