"""One suite for every log backend (the port: `shared/log/port.py`)."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import DataDirInUse, Fatal, UsageError
from shared.log.memory import MemoryLog
from shared.log.port import Append, Log, advanced
from shared.log.sqlite import SqliteLog
from shared.log.sqlite_reader import SqliteReader
from shared.messages.streams import CONTROL, EVENTS, LABELS, OUTCOMES, Stream

Open = Callable[[], Log]


@pytest.fixture(params=["memory", "sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the log; a second call is the same log after a restart."""
    if request.param == "memory":
        log = MemoryLog()
        return lambda: log
    opened: list[SqliteLog] = []

    def open_sqlite() -> Log:
        for log in opened:
            log.close()
        opened.append(SqliteLog(tmp_path / "log.db", durable=False))
        return opened[-1]

    request.addfinalizer(lambda: [log.close() for log in opened])
    return open_sqlite


def some(stream: Stream, *values: bytes) -> list[Append]:
    return [Append(stream, value, key=f"k{i}", timestamp_ms=i) for i, value in enumerate(values)]


def put(log: Log, group: str, *records: Append) -> None:
    with log.begin(group) as transaction:
        transaction.append(records)


def test_records_come_back_in_arrival_order_over_streams(reopen: Open) -> None:
    log = reopen()
    put(log, "a", *some(EVENTS, b"1"), *some(LABELS, b"2"), *some(EVENTS, b"3", b"4"))
    put(log, "b", *some(LABELS, b"5"))
    records = log.read([LABELS, EVENTS], {}, 10)
    assert [r.value for r in records] == [b"1", b"2", b"3", b"4", b"5"]
    assert [(r.stream, r.offset) for r in records] == [
        (EVENTS, 0), (LABELS, 0), (EVENTS, 1), (EVENTS, 2), (LABELS, 1),
    ]  # fmt: skip
    assert [r.seq for r in records] == sorted(r.seq for r in records)
    assert records[3].key == "k1" and records[3].timestamp_ms == 1


def test_headers_are_kept(reopen: Open) -> None:
    log = reopen()
    put(log, "a", Append(EVENTS, b"x", headers={"ce_id": b"7"}))
    assert log.read([EVENTS], {}, 1)[0].headers == {"ce_id": b"7"}


def test_reading_in_pieces_misses_nothing(reopen: Open) -> None:
    log = reopen()
    put(log, "a", *some(EVENTS, b"1", b"2"), *some(CONTROL, b"3"), *some(EVENTS, b"4"))
    seen, position = [], {}
    while records := log.read([EVENTS, CONTROL], position, 1):
        seen += [r.value for r in records]
        position = advanced(position, records)
    assert seen == [b"1", b"2", b"3", b"4"]


def test_one_transaction_holds_outputs_position_and_state(reopen: Open) -> None:
    log = reopen()
    with log.begin("g") as transaction:
        transaction.append(some(OUTCOMES, b"o"))
        transaction.advance({"events": 3})
        transaction.save([("a", b"1"), ("b", b"2")], {"events": 2})
    with log.begin("g") as transaction:
        transaction.save([("a", None), ("c", b"3")], {"events": 3})
    log = reopen()
    assert log.end(OUTCOMES) == 1
    assert log.position("g") == {"events": 3}
    assert log.checkpoint("g").position == {"events": 3}
    assert log.checkpoint("g").entries == {"b": b"2", "c": b"3"}
    assert log.position("other") == {} and log.checkpoint("other").entries == {}


def test_a_commit_that_is_not_waited_for(reopen: Open) -> None:
    log = reopen()
    for n in (1, 2):
        with log.begin("g", waits=False) as transaction:
            transaction.append(some(OUTCOMES, b"%d" % n))
            transaction.advance({"events": n})
            transaction.save([("a", b"%d" % n)], {"events": n})
        assert log.position("g") == {"events": n}
    log.flush()
    assert [r.value for r in log.read([OUTCOMES], {}, 9)] == [b"1", b"2"]
    log = reopen()
    assert log.position("g") == {"events": 2} and log.checkpoint("g").entries == {"a": b"2"}


def test_an_exception_undoes_all_of_it(reopen: Open) -> None:
    log = reopen()
    put(log, "g", *some(EVENTS, b"kept"))
    with pytest.raises(ZeroDivisionError), log.begin("g") as transaction:
        transaction.append(some(EVENTS, b"lost"))
        transaction.advance({"events": 1})
        transaction.save([("a", b"1")], {"events": 1})
        raise ZeroDivisionError
    assert log.end(EVENTS) == 1 and log.position("g") == {} and log.checkpoint("g").entries == {}
    put(log, "g", *some(EVENTS, b"next"))
    assert [(r.offset, r.value) for r in log.read([EVENTS], {}, 9)] == [(0, b"kept"), (1, b"next")]


def test_trimming_forgets_old_records_and_keeps_offsets(reopen: Open) -> None:
    log = reopen()
    put(log, "a", *some(EVENTS, *(b"%d" % i for i in range(10))))
    assert log.trim(EVENTS, 4) == 4 and log.trim(EVENTS, 4) == 0
    assert [r.offset for r in log.read([EVENTS], {}, 3)] == [4, 5, 6]
    assert log.trim(EVENTS, 99) == 6
    log = reopen()
    assert log.end(EVENTS) == 10
    put(log, "a", *some(EVENTS, b"x"))
    assert [r.offset for r in log.read([EVENTS], {}, 3)] == [10]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    batches=st.lists(
        st.lists(st.tuples(st.sampled_from([EVENTS, LABELS]), st.binary(max_size=5)), max_size=5),
        max_size=6,
    ),
    limit=st.integers(1, 4),
)
def test_backends_agree_with_a_list(
    batches: list[list[tuple[Stream, bytes]]], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    oracle = [item for batch in batches for item in batch]
    for log in (MemoryLog(), SqliteLog(tmp_path_factory.mktemp("log") / "l.db", durable=False)):
        for batch in batches:
            put(log, "g", *(Append(stream, value) for stream, value in batch))
        seen, position = [], {}
        while records := log.read([EVENTS, LABELS], position, limit):
            seen += [(r.stream, r.value) for r in records]
            position = advanced(position, records)
        assert seen == oracle
        log.close()


def test_a_second_process_is_refused_with_a_clear_message(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    with pytest.raises(DataDirInUse, match=r"in use by another headrace process \(pid \d+\)"):
        SqliteLog(tmp_path / "log.db")
    code = (
        "import sys; from pathlib import Path; from shared.log.sqlite import SqliteLog\n"
        "from shared.errors import DataDirInUse\n"
        "try: SqliteLog(Path(sys.argv[1]))\nexcept DataDirInUse as e: sys.exit(e.exit_code)"
    )
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path / "log.db")], check=False)
    assert child.returncode == 3
    log.close()
    SqliteLog(tmp_path / "log.db").close()


def test_a_full_disk_is_said_clearly_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    put(log, "g", *some(EVENTS, b"kept"))
    pages = log._db.execute("PRAGMA page_count").fetchone()[0]
    log._db.execute(f"PRAGMA max_page_count={pages + 2}")  # SQLite's own disk-full injector
    with pytest.raises(Fatal, match=r"disk is full.*Free some space"):
        put(log, "g", *some(EVENTS, *(b"x" * 10_000 for _ in range(50))))
    log._db.execute("PRAGMA max_page_count=1000000")
    put(log, "g", *some(EVENTS, b"next"))
    assert [r.value for r in log.read([EVENTS], {}, 9)] == [b"kept", b"next"]
    log.close()


def test_a_damaged_file_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SqliteLog(path)
    put(log, "g", *some(EVENTS, *(b"x" * 4_000 for _ in range(50))))
    log.close()
    damaged = bytearray(path.read_bytes())
    damaged[8_192:20_000] = b"\xff" * (20_000 - 8_192)
    path.write_bytes(damaged)
    with pytest.raises(Fatal, match=r"damaged.*Restore it"):
        SqliteLog(path)
    assert path.read_bytes() == bytes(damaged)


def test_a_reader_in_another_place_sees_what_is_committed_and_changes_nothing(
    tmp_path: Path,
) -> None:
    log = SqliteLog(tmp_path / "log.db")
    put(log, "g", *some(EVENTS, b"1", b"2"))
    reader = SqliteReader(tmp_path / "log.db")
    with log.begin("g") as transaction:
        transaction.append(some(EVENTS, b"3"))
        assert [r.value for r in reader.read([EVENTS], {}, 9)] == [b"1", b"2"]
    assert reader.end(EVENTS) == 3 and reader.end(LABELS) == 0
    reader.close()
    log.close()
    with pytest.raises(UsageError, match="no run in"):
        SqliteReader(tmp_path / "absent.db")
