"""Which keys are followed, and which events compared: by hash, so it is the same ones everywhere."""

from hashlib import blake2b

from shared.problem.spec import Problem

FEW_KEYS = 16
_WHOLE = 1 << 64


class Sample:
    """The declared share, of keys or (where every key has to be followed) of events."""

    def __init__(self, problem: Problem) -> None:
        share = problem.audit.share
        self.empty = share == 0.0
        self.whole = share == 1.0 or _few(problem) or _over_all_keys(problem)
        """Whether every key is followed."""
        self._below = round(share * _WHOLE)

    def follows(self, key: str | None) -> bool:
        """Whether the past of `key` is kept."""
        return self.whole or self._in(key or "")

    def compares(self, name: str) -> bool:
        """Whether the event `name` of a followed key is compared."""
        return not self.whole or self._in(name)

    def _in(self, text: str) -> bool:
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self._below


def _few(problem: Problem) -> bool:
    key = problem.events.key
    if key is None:
        return True
    spec = problem.events.fields.get(key)
    return bool(spec and spec.categories and len(spec.categories) <= FEW_KEYS)


def _over_all_keys(problem: Problem) -> bool:
    fields = problem.events.fields.values()
    return any(spec.encode == "frequency" and spec.type == "category" for spec in fields)
