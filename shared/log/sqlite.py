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
from pathlib import Path
from typing import Any, Literal, TextIO

import msgspec

from shared.errors import DataDirInUse, Fatal
from shared.log.port import Append, Checkpoint, Position
from shared.log.sqlite_reader import Reading, damaged, translated
from shared.messages.streams import Stream

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


class SqliteLog(Reading):
    """One file `path`; `durable=False` is the documented switch to `synchronous=NORMAL`.

    Raises:
        DataDirInUse: another process has the file.
        Fatal: the file is damaged, or the disk is full.
    """

    def __init__(self, path: Path, durable: bool = True) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = own(path.with_suffix(".lock"))
        super().__init__(
            path, sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        )
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
            self.next_offsets = {stream: self._stored_end(stream) for stream in Stream}
            self.seq = max(self._one(f'SELECT MAX(seq) FROM "{s}"') or 0 for s in Stream)  # noqa: S608

    def end(self, stream: Stream) -> int:
        """See the port."""
        return self.next_offsets[stream]

    @contextmanager
    def begin(self, group: str, waits: bool = True) -> Iterator[SqliteTransaction]:
        """See the port."""
        with self._transaction():
            transaction = SqliteTransaction(self, group)
            yield transaction
        self.next_offsets, self.seq = transaction.next_offsets, transaction.seq

    def flush(self) -> None:
        """See the port; nothing waits here."""

    def position(self, group: str) -> Position:
        """See the port."""
        return self._position("position", group)

    def checkpoint(self, group: str) -> Checkpoint:
        """See the port."""
        with translated(self.path):
            rows = self._db.execute('SELECT key, value FROM state WHERE "group"=?', (group,))
            return Checkpoint(self._position("checkpoint", group), dict(rows.fetchall()))

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
        super().close()
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

    def _check(self) -> None:
        verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise Fatal(damaged(self.path, verdict.replace("\n", " ")))


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
