"""Follows committed predictions and outcomes, and writes them in ranges, each partition by itself."""

from collections.abc import Sequence

from shared.archive.port import Archive
from shared.messages.streams import OUTCOMES, PREDICTIONS, place
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
        places = [*map(str, self.streams), *archive.places()]
        self._first = {name: self._resume_at(name) for name in places}
        self._gathered: dict[str, list[Prediction]] = {}

    def position(self) -> dict[str, int]:
        """The next offset wanted, by place. After a restart a short last range is read again."""
        return {name: at + len(self._gathered.get(name, ())) for name, at in self._first.items()}

    def written(self) -> dict[str, int]:
        """The first offset that no full range holds, by place: what the log must still keep."""
        return dict(self._first)

    def follow(self, records: Sequence[Record]) -> None:
        """Take committed records, in order; repeats are passed over.

        Raises:
            Fatal, Retryable: the archive could not write; the same records may be given again.
        """
        for record in records:
            name = place(record.stream, record.partition)
            gathered = self._gathered.setdefault(name, [])
            ahead = record.offset - self._first.setdefault(name, 0) - len(gathered)
            if ahead < 0:
                continue
            if ahead > 0 or len(gathered) >= self._size:
                self._write(name)
                self._first[name] += ahead
            self._gathered[name].append(record.value)
        for name, gathered in self._gathered.items():
            if len(gathered) >= self._size:
                self._write(name)

    def flush(self) -> None:
        """Write what is gathered, so that the files hold all that was followed; then go on."""
        for name, gathered in self._gathered.items():
            self._archive.write(name, self._first[name], gathered)

    def _write(self, name: str) -> None:
        gathered = self._gathered[name]
        self._archive.write(name, self._first[name], gathered)
        self._first[name] += len(gathered)
        self._gathered[name] = []

    def _resume_at(self, name: str) -> int:
        """The end of what is held; the start of the last range when it is a short one."""
        ranges = self._archive.ranges(name)
        if not ranges:
            return 0
        first, end = ranges[-1]
        return first if end - first < self._size else end
