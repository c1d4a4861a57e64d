"""Follows committed predictions and outcomes, and writes them in ranges."""

from collections.abc import Sequence

from shared.archive.port import Archive
from shared.messages.streams import OUTCOMES, PREDICTIONS, Stream
from shared.messages.types import Prediction
from shared.stage import Record

RANGE_RECORDS = 5_000


class Archiver:
    """A follower (`shared/runtime/runner.py`): gathers `range_records` of a stream, then writes them.

    `flush` writes what is gathered as a shorter range; a later, longer one replaces it. A record that
    is behind the position was gathered already and is passed over; where the log begins later than
    the position (what lay before was dropped by retention), the next range begins there too.
    """

    streams = (PREDICTIONS, OUTCOMES)

    def __init__(self, archive: Archive, range_records: int = RANGE_RECORDS) -> None:
        self._archive = archive
        self._size = range_records
        self._first = {stream: self._resume_at(stream) for stream in self.streams}
        self._gathered: dict[Stream, list[Prediction]] = {stream: [] for stream in self.streams}

    def position(self) -> dict[str, int]:
        """The next offset wanted, by stream. After a restart a short last range is read again."""
        return {str(stream): self._next(stream) for stream in self.streams}

    def written(self) -> dict[str, int]:
        """The first offset that no full range holds, by stream: what the log must still keep."""
        return {str(stream): first for stream, first in self._first.items()}

    def follow(self, records: Sequence[Record]) -> None:
        """Take committed records, in order; repeats are passed over.

        Raises:
            Fatal, Retryable: the archive could not write; the same records may be given again.
        """
        for record in records:
            stream = record.stream
            gathered = self._gathered[stream]
            ahead = record.offset - self._first[stream] - len(gathered)
            if ahead < 0:
                continue
            if ahead > 0 or len(gathered) >= self._size:
                self._write(stream)
                self._first[stream] += ahead
            self._gathered[stream].append(record.value)
        for stream in self.streams:
            if len(self._gathered[stream]) >= self._size:
                self._write(stream)

    def flush(self) -> None:
        """Write what is gathered, so that the files hold all that was followed; then go on."""
        for stream in self.streams:
            self._archive.write(stream, self._first[stream], self._gathered[stream])

    def _next(self, stream: Stream) -> int:
        return self._first[stream] + len(self._gathered[stream])

    def _write(self, stream: Stream) -> None:
        gathered = self._gathered[stream]
        self._archive.write(stream, self._first[stream], gathered)
        self._first[stream] += len(gathered)
        self._gathered[stream] = []

    def _resume_at(self, stream: Stream) -> int:
        """The end of what is held; the start of the last range when it is a short one."""
        ranges = self._archive.ranges(stream)
        if not ranges:
            return 0
        first, end = ranges[-1]
        return first if end - first < self._size else end
