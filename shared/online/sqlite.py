"""The online view in a SQLite file of its own: lookups survive a restart, the log stays alone."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from shared.errors import Fatal, Retryable
from shared.online.port import Batch, Kind, Place, State

_SCHEMA = """
CREATE TABLE IF NOT EXISTS view(
    only INTEGER PRIMARY KEY CHECK(only=1), generation INTEGER, at_ms INTEGER);
CREATE TABLE IF NOT EXISTS places(partition TEXT PRIMARY KEY, next INTEGER, last TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entity(
    key TEXT PRIMARY KEY, value BLOB, position INTEGER, partition TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prediction(
    key TEXT PRIMARY KEY, value BLOB, position INTEGER, partition TEXT);
CREATE INDEX IF NOT EXISTS prediction_age ON prediction(partition, position);
"""
_PUT = "INSERT OR REPLACE INTO {} VALUES(?,?,?,?)"
_TABLES: tuple[Kind, ...] = ("entity", "prediction")


class SqliteOnline:
    """One file `path`, for one process; its threads take turns.

    `synchronous=NORMAL`: a power loss may take the newest entries together with the position that
    names them, and the follower puts them again.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
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

    def state(self) -> State | None:
        """See the port."""
        with self._turn():
            return self._state()

    def begin(self, after: int | None, generation: int) -> bool:
        """See the port."""
        with self._transaction():
            state = self._state()
            if after != (state.generation if state else None):
                return False
            for table in ("view", "places", *_TABLES):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608  # our own four names
            self._db.execute("INSERT INTO view VALUES(1,?,NULL)", (generation,))
        return True

    def put(self, generation: int, batch: Batch) -> bool:
        """See the port."""
        with self._transaction():
            state = self._state()
            if state is None or state.generation != generation:
                return False
            there = _next(state, batch.partition)
            if there < batch.start:
                return False
            if there < batch.end:
                self._apply(batch, there)
        return True

    def mark(self, generation: int, positions: Mapping[str, int], at_ms: int) -> bool:
        """See the port."""
        with self._transaction():
            state = self._state()
            if state is None or state.generation != generation:
                return False
            if any(_next(state, name) < position for name, position in positions.items()):
                return False
            self._db.execute("UPDATE view SET at_ms=MAX(COALESCE(at_ms,0),?)", (at_ms,))
        return True

    def get(self, kind: Kind, key: str) -> tuple[tuple[bytes, int] | None, State | None]:
        """See the port."""
        with self._transaction():
            query = f"SELECT value, position FROM {kind} WHERE key=?"  # noqa: S608  # one of two names
            found: tuple[bytes, int] | None = self._db.execute(query, (key,)).fetchone()
            return found, self._state()

    def sweep(self) -> int:
        """See the port; here nothing is left behind."""
        return 0

    def close(self) -> None:
        """See the port."""
        with self._lock:
            self._db.close()

    def _state(self) -> State | None:
        row = self._db.execute("SELECT generation, at_ms FROM view").fetchone()
        if row is None:
            return None
        places = self._db.execute("SELECT partition, next, last FROM places")
        return State(row[0], row[1], {name: Place(next_, last) for name, next_, last in places})

    def _apply(self, batch: Batch, there: int) -> None:
        for table in _TABLES:
            rows = [
                (key, value, position, batch.partition)
                for kind, key, value, position in batch.entries
                if kind == table and position >= there
            ]
            self._db.executemany(_PUT.format(table), rows)
        self._db.execute(
            "DELETE FROM prediction WHERE partition=? AND position<?",
            (batch.partition, batch.end - self._most),
        )
        place = (batch.partition, batch.end, batch.last)
        self._db.execute("INSERT OR REPLACE INTO places VALUES(?,?,?)", place)

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


def _next(state: State, partition: str) -> int:
    place = state.places.get(partition)
    return place.next if place else 0
