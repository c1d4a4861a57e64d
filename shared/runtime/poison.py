"""Which record makes a stage fail: bisection over the batch (one bad record must not stop the stream).

Stages may be fed any split of their input (DESIGN rule 3), so what lies before the bad record is folded
and committed in ever smaller batches, until a batch of one fails.
"""

from collections.abc import Sequence
from traceback import extract_tb

from shared.errors import Fatal, HeadraceError, Reject
from shared.stage import Record

CHECK = "poison"
"""What such rejections are counted under."""
MOST_IN_A_ROW = 100
"""More records in a row that fail: then it is the stage, not the records."""
_OF_THE_OUTSIDE = (OSError, MemoryError)


class Suspects:
    """The next records, one of which makes a stage fail; none, as long as all goes well."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._left = 0
        self._in_a_row = 0

    @property
    def limit(self) -> int:
        """How many records to try next."""
        return max(1, self._left // 2) if self._left else self._batch_size

    def passed(self, records: Sequence[Record]) -> None:
        """These are innocent."""
        self._left = max(0, self._left - len(records))
        self._in_a_row = 0

    def failed(self, records: Sequence[Record], error: Exception, stage: str) -> Reject | None:
        """`stage` raised `error` on these; the reason to reject the one, or None: try fewer.

        Raises:
            Exception: `error` itself, where it is no record's fault.
            Fatal: too many records in a row failed.
        """
        if isinstance(error, (HeadraceError, *_OF_THE_OUTSIDE)) and not isinstance(error, Reject):
            raise error
        self._left = len(records)
        if len(records) > 1:
            return None
        self._left = 0
        self._in_a_row += 1
        why = _told(records[0], error, stage)
        if self._in_a_row > MOST_IN_A_ROW:
            raise Fatal(
                f"{MOST_IN_A_ROW} records in a row were rejected because a stage failed on them; the "
                f"next one: {why.reason}. Nothing is lost. Mend the stage, start again, and look at "
                "`headrace rejected list --check poison`."
            ) from error
        return why


def _told(record: Record, error: Exception, stage: str) -> Reject:
    if isinstance(error, Reject):  # not even a message of its stream
        return error
    frames = extract_tb(error.__traceback__)
    where = f" ({frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    text = f"the stage {stage} failed on it: {type(error).__name__}: {error}"[:500]
    return Reject(f"{text}{where}", CHECK)
