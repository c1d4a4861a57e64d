"""The online view in a SQLite file of its own: lookups survive a restart, the log stays alone."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from shared.errors import Fatal, Retryable
from shared.online.port import Entry

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries(key TEXT PRIMARY KEY, value BLOB, position INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions(partition TEXT PRIMARY KEY, next INTEGER) WITHOUT ROWID;
"""
_PUT = """
INSERT INTO entries VALUES(?,?,?) ON CONFLICT(key) DO UPDATE
SET value=excluded.value, position=excluded.position WHERE excluded.position>position
"""
_MOVE = """
INSERT INTO positions VALUES(?,?) ON CONFLICT(partition) DO UPDATE SET next=MAX(next, excluded.next)
"""


class SqliteOnline:
    """One file `path`, for one process; its threads take turns.

    `synchronous=NORMAL`: a power loss may take the newest entries together with the position that
    names them, and the follower puts them again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with self._turn():
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.execute("PRAGMA busy_timeout=5000")
                self._db.executescript(_SCHEMA)
        except Fatal:
            self._db.close()
            raise

    def put_many(self, partition: str, entries: Iterable[Entry]) -> None:
        """See the port; here the whole batch is one transaction."""
        rows = list(entries)
        if not rows:
            return
        newest = max(position for _, _, position in rows)
        with self._transaction():
            self._db.executemany(_PUT, rows)
            self._db.execute(_MOVE, (partition, newest + 1))

    def get(self, key: str) -> tuple[bytes, int] | None:
        """See the port."""
        with self._turn():
            rows = self._db.execute("SELECT value, position FROM entries WHERE key=?", (key,))
            found: tuple[bytes, int] | None = rows.fetchone()
        return found

    def position(self, partition: str) -> int:
        """See the port."""
        with self._turn():
            rows = self._db.execute("SELECT next FROM positions WHERE partition=?", (partition,))
            found = rows.fetchone()
        return int(found[0]) if found else 0

    def wipe(self) -> None:
        """See the port."""
        with self._transaction():
            self._db.execute("DELETE FROM entries")
            self._db.execute("DELETE FROM positions")

    def close(self) -> None:
        """See the port."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._turn():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.OperationalError as error:
                text = str(error)
                if "locked" in text or "busy" in text:
                    raise Retryable(f"{self._path}: {text}") from error
                raise Fatal(f"{self._path}: SQLite says: {text}") from error
            except sqlite3.DatabaseError as error:
                raise Fatal(
                    f"{self._path} is damaged ({error}). It is only a view of the log: delete the "
                    "file and start again, and it is rebuilt."
                ) from error
