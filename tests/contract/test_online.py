"""One suite for every backend of the online view; a new one is a line in `BACKENDS`."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import Fatal
from shared.online.memory import MemoryOnline
from shared.online.port import Entry, Online
from shared.online.sqlite import SqliteOnline

BACKENDS: dict[str, Callable[[Path], Online]] = {
    "memory": lambda path: MemoryOnline(),
    "sqlite": lambda path: SqliteOnline(path / "online.db"),
}
LASTING = ("sqlite",)
"""Backends that keep their entries when a client goes away."""
PARTITION = "predictions/0"

ENTRIES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.binary(max_size=4), st.integers(0, 20)), max_size=30
)


@pytest.fixture(params=BACKENDS)
def online(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Online]:
    view = BACKENDS[request.param](tmp_path)
    yield view
    view.close()


def test_an_unknown_key_is_none_and_the_first_position_is_zero(online: Online) -> None:
    assert online.get("nobody") is None
    assert online.position(PARTITION) == 0


def test_the_newest_position_wins_whatever_the_order(online: Online) -> None:
    online.put_many(PARTITION, [("a", b"new", 7), ("a", b"old", 3)])
    online.put_many(PARTITION, [("a", b"older", 2), ("a", b"same", 7)])
    assert online.get("a") == (b"new", 7)
    assert online.position(PARTITION) == 8


def test_any_bytes_any_key(online: Online) -> None:
    for key in ("", "ключ", "a/b:c d\n", "x" * 2_000):
        online.put_many(PARTITION, [(key, bytes(range(256)), 1)])
        assert online.get(key) == (bytes(range(256)), 1)


def test_partitions_have_their_own_positions(online: Online) -> None:
    online.put_many("features/0", [("a", b"1", 4)])
    online.put_many("features/1", [("b", b"1", 9)])
    online.put_many("features/1", [])
    assert (online.position("features/0"), online.position("features/1")) == (5, 10)
    assert online.position("features/2") == 0


def test_wipe_forgets_entries_and_positions(online: Online) -> None:
    online.put_many(PARTITION, [("a", b"1", 4)])
    online.wipe()
    assert online.get("a") is None
    assert online.position(PARTITION) == 0
    online.put_many(PARTITION, [("a", b"0", 0)])
    assert online.get("a") == (b"0", 0)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=ENTRIES, cuts=st.lists(st.integers(0, 30), max_size=4))
def test_any_split_and_any_repeat_ends_the_same(
    online: Online, entries: list[Entry], cuts: list[int]
) -> None:
    online.wipe()
    edges = [0, *sorted(cuts), len(entries)]
    parts = [entries[a:b] for a, b in pairwise(edges)]
    for part in [*parts, *parts]:
        online.put_many(PARTITION, part)
    assert {key: online.get(key) for key in "abcd"} == _slow(entries)
    assert online.position(PARTITION) == max((p + 1 for _, _, p in entries), default=0)


def test_writers_at_the_same_time_leave_the_newest(online: Online) -> None:
    def write(start: int) -> None:
        for position in range(start, 400, 4):
            online.put_many(PARTITION, [("a", str(position).encode(), position)])
            online.get("a")

    threads = [Thread(target=write, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert online.get("a") == (b"399", 399)
    assert online.position(PARTITION) == 400


@pytest.mark.parametrize("name", LASTING)
def test_entries_and_positions_outlive_the_client(name: str, tmp_path: Path) -> None:
    first = BACKENDS[name](tmp_path)
    first.put_many(PARTITION, [("a", b"1", 4)])
    first.close()
    second = BACKENDS[name](tmp_path)
    assert second.get("a") == (b"1", 4)
    assert second.position(PARTITION) == 5
    second.close()


def test_a_damaged_file_is_named_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "online.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(Fatal, match="delete the file"):
        SqliteOnline(tmp_path / "online.db")


def _slow(entries: list[Entry]) -> dict[str, tuple[bytes, int] | None]:
    newest: dict[str, tuple[bytes, int] | None] = dict.fromkeys("abcd")
    for key in "abcd":
        mine = [entry for entry in entries if entry[0] == key]
        if mine:
            top = max(position for _, _, position in mine)
            newest[key] = next((value, p) for _, value, p in mine if p == top)
    return newest
