"""Which events a canary answers: a sticky share of the keys, and never more of the events."""

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from shared.messages.types import Features
from shared.problem.spec import Canary

_WIDTH_BYTES = 8


class Exposed(msgspec.Struct):
    """How many events were scored since `version` became the canary, and how many it answered."""

    version: str = ""
    events: int = 0
    answers: int = 0


class Share:
    """Chooses events for the canary; a fold over the events of one partition.

    Each partition keeps the limit for itself, hence all of them together do.
    """

    def __init__(self, problem: str, canary: Canary | None) -> None:
        self._problem = problem
        self._canary = canary or Canary()
        self.exposed = Exposed()

    def chosen(self, version: str | None, run: Sequence[Features]) -> set[int]:
        """Rows of `run` that the canary `version` (None: there is none) answers."""
        if version is None:
            return set()
        if version != self.exposed.version:
            self.exposed = Exposed(version)
        return {row for row, event in enumerate(run) if self._takes(version, event)}

    def _takes(self, version: str, event: Features) -> bool:
        exposed, share = self.exposed, self._canary.share
        exposed.events += 1
        if exposed.answers + 1 > share * exposed.events:
            return False
        name = event.id if self._canary.by == "event" or event.key is None else event.key
        if place_of(self._problem, version, name) >= share:
            return False
        exposed.answers += 1
        return True


def place_of(problem: str, version: str, name: str) -> float:
    """Where `name` stands in [0, 1): the same for ever, and for each version another place, so that
    it is not always the same keys that are tried on.
    """
    text = f"{problem}\n{version}\n{name}".encode()
    digest = blake2b(text, digest_size=_WIDTH_BYTES).digest()
    return int.from_bytes(digest, "big") / float(1 << 8 * _WIDTH_BYTES)
