"""The SQLite log's half that only looks, for its owner and for a process beside it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from shared.errors import Fatal, Retryable, UsageError
from shared.log.port import Position
from shared.messages.streams import Stream
from shared.stage import Record


class Reading:
    """What the owner of the file and a reader beside it do alike, over the connection `db`."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        """See the port: the streams' next rows, merged by arrival."""
        with translated(self.path):
            tails = [
                (row[1], stream, row)
                for stream in streams
                for row in self._db.execute(
                    f'SELECT * FROM "{stream}" WHERE "offset">=? ORDER BY "offset" LIMIT ?',  # noqa: S608
                    (position.get(str(stream), 0), limit),
                )
            ]
        tails.sort(key=itemgetter(0))
        return [
            Record(stream, value, key, 0, at, seq, ts, headers and msgspec.msgpack.decode(headers))
            for _, stream, (at, seq, key, value, ts, headers) in tails[:limit]
        ]

    def end(self, stream: Stream) -> int:
        """See the port."""
        return self._stored_end(stream)

    def ends(self, stream: Stream) -> Position:
        """See the port."""
        return {str(stream): self.end(stream)}

    def checkpoints(self) -> dict[str, Position]:
        """See the port."""
        query = 'SELECT "group", checkpoint FROM positions WHERE checkpoint IS NOT NULL'
        with translated(self.path):
            rows = self._db.execute(query).fetchall()
        return {group: msgspec.json.decode(saved, type=Position) for group, saved in rows}

    def states(self, name: str = "state") -> list[bytes]:
        """See the port."""
        with translated(self.path):
            rows = self._db.execute(
                "SELECT value FROM state WHERE key LIKE ?", (f"%/{name}",)
            ).fetchall()
        return [value for (value,) in rows]

    def close(self) -> None:
        """See the port."""
        self._db.close()

    def _stored_end(self, stream: Stream) -> int:
        """One past the newest record, also when all were trimmed."""
        last = self._one(f'SELECT MAX("offset") FROM "{stream}"')  # noqa: S608
        kept = self._one("SELECT next FROM ends WHERE stream=?", str(stream))
        return max(-1 if last is None else last, (kept or 0) - 1) + 1

    def _one(self, query: str, *arguments: Any) -> Any:
        with translated(self.path):
            row = self._db.execute(query, arguments).fetchone()
        return row[0] if row else None


class SqliteReader(Reading):
    """Reads a log file that another process may be writing; it can neither write nor checkpoint.

    Raises:
        UsageError: there is no such file.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise UsageError(f"there is no run in {path.parent}: {path.name} is missing")
        super().__init__(
            path, sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as ours.

    Raises:
        Fatal, Retryable: see `Log.begin`.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "full" in text:
            raise Fatal(_full(path)) from error
        if "locked" in text or "busy" in text:
            raise Retryable(f"{path}: {text}") from error
        raise Fatal(f"{path}: SQLite says: {text}") from error
    except sqlite3.DatabaseError as error:
        raise Fatal(damaged(path, str(error))) from error


def _full(path: Path) -> str:
    return (
        f"The disk is full: {path} cannot grow. The last batch was undone, everything acknowledged "
        "before is kept. Free some space and run the same command again; it goes on where it was."
    )


def damaged(path: Path, verdict: str) -> str:
    """What to tell the user of a file that SQLite finds broken."""
    return (
        f"{path} is damaged ({verdict}). It was not opened, and nothing in it was changed. Restore it "
        "from a backup, or move it away and replay the source into a new data directory."
    )
