"""The log in one SQLite file: one process, one writer connection, WAL, group commit.

`synchronous=FULL` by default: an acknowledged event survives power loss on hardware that honours
fsync. The file is owned through a lock beside it: the linked SQLite may be older than 3.51.3 and
have the WAL-reset bug, so a second process is refused, never merely discouraged (DESIGN section 4).
"""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, TextIO

import msgspec

from shared.errors import DataDirInUse, Fatal, Retryable, UsageError
from shared.log.port import Append, Checkpoint, Position
from shared.messages.streams import Stream
from shared.stage import Record

_SCHEMA = """
CREATE TABLE IF NOT EXISTS positions("group" TEXT PRIMARY KEY, position TEXT, checkpoint TEXT);
CREATE TABLE IF NOT EXISTS state("group" TEXT, key TEXT, value BLOB, PRIMARY KEY("group", key));
CREATE TABLE IF NOT EXISTS ends(stream TEXT PRIMARY KEY, next INTEGER);
"""
_STREAM = """
CREATE TABLE IF NOT EXISTS "{0}"(
  "offset" INTEGER PRIMARY KEY, seq INTEGER, key TEXT, value BLOB, timestamp_ms INTEGER, headers BLOB);
"""
_PAGE_BYTES = 16_384
"""A record has about a kilobyte: on small pages many would spill over."""
_SAVE = 'INSERT OR REPLACE INTO state("group", key, value) VALUES(?,?,?)'
_DROP = 'DELETE FROM state WHERE "group"=? AND key=?'


class SqliteTransaction:
    """Writes go to SQLite at once; nobody sees them before the commit."""

    def __init__(self, log: "SqliteLog", group: str) -> None:
        self._log = log
        self._group = group
        self.next_offsets = dict(log.next_offsets)
        self.seq = log.seq

    def append(self, records: Iterable[Append]) -> None:
        """See the port."""
        rows: dict[Stream, list[tuple[Any, ...]]] = {}
        for record in records:
            stream = record.stream
            offset = self.next_offsets[stream]
            self.next_offsets[stream] = offset + 1
            self.seq += 1
            headers = msgspec.msgpack.encode(record.headers) if record.headers else None
            row = (offset, self.seq, record.key, record.value, record.timestamp_ms, headers)
            rows.setdefault(stream, []).append(row)
        for stream, values in rows.items():
            self._log.write_many(f'INSERT INTO "{stream}" VALUES(?,?,?,?,?,?)', values)

    def advance(self, position: Position) -> None:
        """See the port."""
        self._set("position", position)

    def save(self, entries: Iterable[tuple[str, bytes | None]], position: Position) -> None:
        """See the port."""
        changed = list(entries)
        kept = [(self._group, key, value) for key, value in changed if value is not None]
        gone = [(self._group, key) for key, value in changed if value is None]
        self._log.write_many(_SAVE, kept)
        self._log.write_many(_DROP, gone)
        self._set("checkpoint", position)

    def _set(self, column: Literal["position", "checkpoint"], position: Position) -> None:
        text = msgspec.json.encode(position).decode()
        self._log.write_many(
            f'INSERT INTO positions("group", {column}) VALUES(?,?) '
            f'ON CONFLICT("group") DO UPDATE SET {column}=excluded.{column}',
            [(self._group, text)],
        )


class SqliteReader:
    """Reads a log file that another process may be writing; it can neither write nor checkpoint.

    Raises:
        UsageError: there is no such file.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise UsageError(f"there is no run in {path.parent}: {path.name} is missing")
        self.path = path
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        """See `Log.read`."""
        with translated(self.path):
            return _read(self._db, streams, position, limit)

    def end(self, stream: Stream) -> int:
        """See `Log.end`."""
        with translated(self.path):
            return _stored_end(self._db, stream)

    def ends(self, stream: Stream) -> Position:
        """See `Log.ends`."""
        return {str(stream): self.end(stream)}

    def checkpoints(self) -> dict[str, Position]:
        """See `Log.checkpoints`."""
        with translated(self.path):
            return _checkpoints(self._db)

    def states(self) -> list[bytes]:
        """See the port."""
        with translated(self.path):
            return _states(self._db)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


class SqliteLog:
    """One file `path`; `durable=False` is the documented switch to `synchronous=NORMAL`.

    Raises:
        DataDirInUse: another process has the file.
        Fatal: the file is damaged, or the disk is full.
    """

    def __init__(self, path: Path, durable: bool = True) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = own(path.with_suffix(".lock"))
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._open(durable)
        except BaseException:
            self.close()
            raise

    def _open(self, durable: bool) -> None:
        with translated(self.path):
            self._db.execute(f"PRAGMA page_size={_PAGE_BYTES}")  # of a new file
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._db.execute("PRAGMA busy_timeout=5000")
            self._check()
            self._db.executescript(_SCHEMA + "".join(_STREAM.format(s) for s in Stream))
            self.next_offsets = {stream: _stored_end(self._db, stream) for stream in Stream}
            self.seq = max(self._one(f'SELECT MAX(seq) FROM "{s}"') or 0 for s in Stream)  # noqa: S608

    def read(self, streams: Sequence[Stream], position: Position, limit: int) -> list[Record]:
        """See the port."""
        with translated(self.path):
            return _read(self._db, streams, position, limit)

    def end(self, stream: Stream) -> int:
        """See the port."""
        return self.next_offsets[stream]

    @contextmanager
    def begin(self, group: str) -> Iterator[SqliteTransaction]:
        """See the port."""
        with self._transaction():
            transaction = SqliteTransaction(self, group)
            yield transaction
        self.next_offsets, self.seq = transaction.next_offsets, transaction.seq

    def position(self, group: str) -> Position:
        """See the port."""
        return self._position("position", group)

    def checkpoint(self, group: str) -> Checkpoint:
        """See the port."""
        with translated(self.path):
            rows = self._db.execute('SELECT key, value FROM state WHERE "group"=?', (group,))
            return Checkpoint(self._position("checkpoint", group), dict(rows.fetchall()))

    def ends(self, stream: Stream) -> Position:
        """See the port."""
        return {str(stream): self.end(stream)}

    def checkpoints(self) -> dict[str, Position]:
        """See the port."""
        with translated(self.path):
            return _checkpoints(self._db)

    def states(self) -> list[bytes]:
        """See the port."""
        with translated(self.path):
            return _states(self._db)

    def numbers(self, stream: Stream) -> bool:
        """See the port."""
        return True

    def trim(self, name: str, before: int) -> int:
        """See the port."""
        stream = Stream(name)
        with self._transaction(), translated(self.path):
            self._db.execute(
                "INSERT OR REPLACE INTO ends VALUES(?,?)", (str(stream), self.next_offsets[stream])
            )
            gone = self._db.execute(f'DELETE FROM "{stream}" WHERE "offset"<?', (before,))  # noqa: S608
        return gone.rowcount

    def close(self) -> None:
        """See the port."""
        self._db.close()
        self._lock.close()

    def write_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement over rows inside the open transaction."""
        with translated(self.path):
            self._db.executemany(statement, rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated(self.path):
            self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            with translated(self.path):
                self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _position(self, column: str, group: str) -> Position:
        text = self._one(f'SELECT {column} FROM positions WHERE "group"=?', group)  # noqa: S608
        return msgspec.json.decode(text, type=Position) if text else {}

    def _one(self, query: str, *arguments: Any) -> Any:
        with translated(self.path):
            row = self._db.execute(query, arguments).fetchone()
        return row[0] if row else None

    def _check(self) -> None:
        verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise Fatal(_damaged(self.path, verdict.replace("\n", " ")))


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
        raise Fatal(_damaged(path, str(error))) from error


def own(lock: Path) -> TextIO:
    """Take the lock file, or say who has it; held until closed or until the process ends."""
    handle = lock.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.seek(0)
        owner = handle.read().strip() or "unknown"
        handle.close()
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise Fatal(f"{lock}: cannot be locked: {error}") from error
        raise DataDirInUse(
            f"{lock.parent} is in use by another headrace process ({owner}). One process owns a data "
            "directory: stop that one, or give this run its own with --data-dir."
        ) from error
    handle.truncate(0)
    handle.write(f"pid {os.getpid()}\n")
    handle.flush()
    return handle


def _full(path: Path) -> str:
    return (
        f"The disk is full: {path} cannot grow. The last batch was undone, everything acknowledged "
        "before is kept. Free some space and run the same command again; it goes on where it was."
    )


def _damaged(path: Path, verdict: str) -> str:
    return (
        f"{path} is damaged ({verdict}). It was not opened, and nothing in it was changed. Restore it "
        "from a backup, or move it away and replay the source into a new data directory."
    )


def _read(
    db: sqlite3.Connection, streams: Sequence[Stream], position: Position, limit: int
) -> list[Record]:
    """See `Log.read`: the streams' next rows, merged by arrival."""
    tails = [
        (row[1], stream, row)
        for stream in streams
        for row in db.execute(
            f'SELECT * FROM "{stream}" WHERE "offset">=? ORDER BY "offset" LIMIT ?',  # noqa: S608
            (position.get(str(stream), 0), limit),
        )
    ]
    tails.sort(key=itemgetter(0))
    return [
        Record(stream, value, key, 0, at, seq, ts, headers and msgspec.msgpack.decode(headers))
        for _, stream, (at, seq, key, value, ts, headers) in tails[:limit]
    ]


def _stored_end(db: sqlite3.Connection, stream: Stream) -> int:
    """One past the newest record, also when all were trimmed."""
    last = db.execute(f'SELECT MAX("offset") FROM "{stream}"').fetchone()[0]  # noqa: S608
    kept = db.execute("SELECT next FROM ends WHERE stream=?", (str(stream),)).fetchone()
    return max(-1 if last is None else last, (kept[0] if kept else 0) - 1) + 1


def _checkpoints(db: sqlite3.Connection) -> dict[str, Position]:
    rows = db.execute('SELECT "group", checkpoint FROM positions WHERE checkpoint IS NOT NULL')
    return {group: msgspec.json.decode(saved, type=dict[str, int]) for group, saved in rows}


def _states(db: sqlite3.Connection) -> list[bytes]:
    return [value for (value,) in db.execute("SELECT value FROM state WHERE key LIKE '%/state'")]
