"""Blobs go once nothing names them any more, so that the store is bounded.

A blob is named by state entries, by the decisions on models (for ever: a version can be compared and
rebuilt), and by the snapshots that a replay could ask for: those from the earliest checkpoint of a
reader of `models` on, and the newest before it.
"""

import re

from shared.blobs.port import BlobStore
from shared.log.port import LogReader, Position, advanced
from shared.messages.streams import MODELS
from shared.messages.types import ModelEvent
from shared.runtime.runner import decoded

SNAPSHOTS_KEPT = 64
"""At least so many: a reader that has no checkpoint yet replays from the beginning."""
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_READ = 1_000


class Sweep:
    """Sweeps `blobs`. What is put down goes before the transaction that names it, so a blob has to be
    found without a name twice, in two sweeps, before it goes.
    """

    def __init__(self, blobs: BlobStore, kept: int = SNAPSHOTS_KEPT) -> None:
        self._blobs = blobs
        self._kept = kept
        self._position: Position = {}
        self._decided: set[str] = set()
        self._snapshots: list[tuple[int, str]] = []
        self._nameless: set[str] = set()

    def run(self, log: LogReader) -> int:
        """Look for names on `log`; how many blobs went.

        Raises:
            Retryable, Fatal: as the log and the store say; sweeping later makes up for it.
        """
        self._read(log)
        named = self._named(log)
        found = {digest for digest in self._blobs.digests() if digest not in named}
        gone = found & self._nameless
        for digest in gone:
            self._blobs.delete(digest)
        self._nameless = found - gone
        return len(gone)

    def _read(self, log: LogReader) -> None:
        while records := decoded(log.read((MODELS,), self._position, _READ)):
            for record in records:
                event: ModelEvent = record.value
                if event.state == "snapshot" and event.blob:
                    self._snapshots.append((record.offset, event.blob))
                else:
                    self._decided.update(_digests(f"{event.blob} {event.manifest}".encode()))
            self._position = advanced(self._position, records)

    def _named(self, log: LogReader) -> set[str]:
        earliest = min(
            (at[str(MODELS)] for at in log.checkpoints().values() if str(MODELS) in at),
            default=None,
        )
        newest = len(self._snapshots) - self._kept
        behind = [
            n for n, (at, _) in enumerate(self._snapshots) if earliest is None or at < earliest
        ]
        self._snapshots = self._snapshots[max(0, min(newest, len(behind) - 1)) :]
        states = {digest for entry in log.states() for digest in _digests(entry)}
        return self._decided | states | {digest for _, digest in self._snapshots}


def _digests(data: bytes) -> set[str]:
    return {found.decode() for found in _DIGEST.findall(data)}
