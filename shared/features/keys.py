"""The pasts of all keys: at most `most` of them, none silent for longer than `expire`."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush, heapreplace

from shared.features.past import NEVER, Past, Plan
from shared.problem.times import microseconds, time_at


class Keys:
    """Pasts by key. The key whose newest event time is oldest is forgotten for a new one, and every key
    whose newest event time lies more than `expire` behind the newest of all.

    `forgotten` counts them. Cost of a key that goes: O(log `most`), amortised.
    """

    def __init__(self, plan: Plan, most: int, expire: timedelta | None = None) -> None:
        self.forgotten = 0
        self._expire = expire
        self._newest = NEVER
        self._plan = plan
        self._most = most
        self._pasts: dict[str, Past] = {}
        self._oldest: list[tuple[datetime, str]] = []
        self._dirty: dict[str, None] = {}
        self._gone: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._pasts)

    def past(self, key: str) -> Past | None:
        """The past of `key`, to look at, if it is known."""
        return self._pasts.get(key)

    def at(self, key: str, time: datetime) -> Past:
        """The past of `key`, for an event at `time` that will be appended to it."""
        if self._expire is not None:
            self._let_go(time, self._expire)
        past = self._pasts.get(key)
        if past is None:
            if len(self._pasts) >= self._most:
                self._forget()
            past = self._pasts[key] = Past(self._plan)
            heappush(self._oldest, (time, key))
        if time > past.time:
            past.move(time)
        self._dirty[key] = None
        return past

    def _let_go(self, time: datetime, expire: timedelta) -> None:
        """Event time has come to `time`."""
        if time > self._newest:
            self._newest = time
        while self._oldest and self._newest - self._oldest[0][0] > expire:
            oldest, key = self._oldest[0]
            past = self._pasts.get(key)
            if past is None:
                heappop(self._oldest)
            elif past.time == oldest:
                self._forget()
            else:
                heapreplace(self._oldest, (past.time, key))

    def _forget(self) -> None:
        """Times in the heap are lower bounds: a stale one goes back with its present time."""
        while True:
            time, key = heappop(self._oldest)
            past = self._pasts.get(key)
            if past is None:
                continue
            if past.time == time:
                break
            heappush(self._oldest, (past.time, key))
        self.drop(key)
        self.forgotten += 1

    def drop(self, key: str) -> None:
        """Forget `key`, if it is known; what comes of it next is its first event."""
        past = self._pasts.pop(key, None)
        if past is not None:
            self._dirty.pop(key, None)
            self._gone |= dict.fromkeys(past.entries(self._plan, key))

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Entries that changed since the last call."""
        changed: dict[str, bytes | None] = dict.fromkeys(self._gone)
        for key in self._dirty:
            changed |= self._pasts[key].changes(self._plan, key)
        if changed:
            changed["forgotten"] = str(self.forgotten).encode()
        if changed and self._expire is not None:
            changed["newest"] = str(microseconds(self._newest)).encode()
        self._dirty.clear()
        self._gone.clear()
        yield from changed.items()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Become what was saved."""
        self.forgotten = int(entries.get("forgotten", b"0"))
        for name in entries:
            kind, _, key = name.partition("/")
            if kind == "head":
                past = self._pasts[key] = Past(self._plan)
                past.restore(self._plan, key, entries)
        if "newest" in entries:
            self._newest = time_at(int(entries["newest"]))
        self._oldest = [(past.time, key) for key, past in self._pasts.items()]
        heapify(self._oldest)
