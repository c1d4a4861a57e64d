"""One suite for every backend of the online view; a new one is a line in `BACKENDS`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import Fatal, UsageError
from shared.online.memory import MemoryOnline
from shared.online.port import Batch, Entry, Kind, Online, Place
from shared.online.redis_store import RedisOnline
from shared.online.sqlite import SqliteOnline
from shared.wiring import open_online
from tests.kit.redis_server import redis_name, redis_url

__all__ = ["redis_name", "redis_url"]
Request = pytest.FixtureRequest
Open = Callable[[], Online]
MOST = 8
PART = "predictions"
KINDS: tuple[Kind, ...] = ("entity", "prediction")


def _redis(request: Request, path: Path) -> Open:
    url, name = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_name")
    return lambda: RedisOnline(url, name, MOST)


BACKENDS: dict[str, Callable[[Request, Path], Open]] = {
    "memory": lambda request, path: lambda: MemoryOnline(MOST),
    "sqlite": lambda request, path: lambda: SqliteOnline(path / "online.db", MOST),
    "redis": _redis,
}
LASTING = ("sqlite", "redis")
"""Backends that keep their entries when a client goes away."""


@pytest.fixture(params=BACKENDS)
def online(request: Request, tmp_path: Path) -> Iterator[Online]:
    view = BACKENDS[request.param](request, tmp_path)()
    yield view
    view.close()


def batch(start: int, *keys: str, partition: str = PART, say: str = "") -> Batch:
    """One record an offset from `start` on: an entity and a prediction named by its key."""
    entries: list[Entry] = []
    for position, key in enumerate(keys, start):
        value = f"{say}{key}@{position}".encode()
        entries += [(kind, key, value, position) for kind in KINDS]
    end = start + len(keys)
    return Batch(partition, start, end, f"{say}{end}", entries)


def value(online: Online, kind: Kind, key: str) -> tuple[bytes, int] | None:
    return online.get(kind, key)[0]


def test_at_first_there_is_no_view_and_nothing_is_taken(online: Online) -> None:
    assert online.state() is None
    assert online.get("entity", "a") == (None, None)
    assert not online.put(1, batch(0, "a"))
    assert not online.mark(1, {}, 5)
    assert online.state() is None


def test_what_is_put_is_found_with_its_position_and_the_view_it_is_from(online: Online) -> None:
    assert online.begin(None, 1)
    assert online.put(1, batch(0, "a", "b", "a"))
    assert value(online, "entity", "a") == (b"a@2", 2)
    assert value(online, "prediction", "b") == (b"b@1", 1)
    found, state = online.get("entity", "nobody")
    assert found is None
    assert state == online.state()
    assert state is not None
    assert (state.generation, state.at_ms, dict(state.places)) == (1, None, {PART: Place(3, "3")})


def test_an_older_or_repeated_write_does_not_win(online: Online) -> None:
    online.begin(None, 1)
    online.put(1, batch(0, "a", "b", "a"))
    assert online.put(1, batch(0, "a", "b", say="old"))
    assert online.put(1, batch(1, "b", "a", "c", say="late"))  # offsets 1 and 2 are there already
    assert value(online, "entity", "a") == (b"a@2", 2)
    assert value(online, "entity", "b") == (b"b@1", 1)
    assert value(online, "entity", "c") == (b"latec@3", 3)


def test_a_gap_is_refused_and_nothing_of_it_is_applied(online: Online) -> None:
    online.begin(None, 1)
    online.put(1, batch(0, "a"))
    before = online.state()
    assert not online.put(1, batch(2, "a", "b"))
    assert value(online, "entity", "a") == (b"a@0", 0)
    assert value(online, "entity", "b") is None
    assert online.state() == before


def test_a_new_generation_has_nothing_of_the_old_one_and_refuses_its_writers(
    online: Online,
) -> None:
    online.begin(None, 1)
    online.put(1, batch(0, "a", "b"))
    online.mark(1, {PART: 2}, 50)
    assert not online.begin(None, 7), "another one is there"
    assert not online.begin(3, 7)
    assert online.begin(1, 2)
    assert value(online, "entity", "a") is None
    assert not online.put(1, batch(2, "c"))
    assert not online.mark(1, {}, 60)
    state = online.state()
    assert state is not None
    assert (state.generation, state.at_ms, dict(state.places)) == (2, None, {})
    online.put(2, batch(0, "b"))
    online.sweep()
    assert value(online, "entity", "b") == (b"b@0", 0)
    assert value(online, "prediction", "a") is None


def test_a_mark_says_until_when_all_is_in_and_never_goes_back(online: Online) -> None:
    online.begin(None, 1)
    online.put(1, batch(0, "a", "b"))
    assert not online.mark(1, {PART: 3}, 10), "the view is not as far"
    assert not online.mark(1, {"predictions/1": 1}, 10)
    assert _at_ms(online) is None
    assert online.mark(1, {PART: 2}, 20)
    assert online.mark(1, {PART: 1}, 15)
    assert _at_ms(online) == 20


def test_partitions_have_positions_of_their_own(online: Online) -> None:
    online.begin(None, 1)
    online.put(1, batch(0, "a", "b"))
    online.put(1, batch(0, "c", partition="predictions/1"))
    state = online.state()
    assert state is not None
    assert dict(state.places) == {PART: Place(2, "2"), "predictions/1": Place(1, "1")}


def test_old_predictions_go_entities_stay(online: Online) -> None:
    online.begin(None, 1)
    names = [f"k{i}" for i in range(20)]
    for start in range(0, 20, 5):
        online.put(1, batch(start, *names[start : start + 5]))
    held = [name for name in names if value(online, "prediction", name)]
    assert held == names[20 - MOST :]
    assert all(value(online, "entity", name) for name in names)


def test_a_prediction_that_was_said_again_is_as_old_as_its_newest_record(online: Online) -> None:
    online.begin(None, 1)
    online.put(1, batch(0, "twice", *"abcd", "twice"))
    online.put(1, batch(6, *"efghij"))
    assert value(online, "prediction", "a") is None
    assert value(online, "prediction", "twice") == (b"twice@5", 5)


def test_any_bytes_any_key(online: Online) -> None:
    online.begin(None, 1)
    data = bytes(range(256))
    for position, key in enumerate(("", "ключ", "a/b:c d\n", "x" * 2_000, "1 predictions\n")):
        entries: list[Entry] = [(kind, key, data, position) for kind in KINDS]
        assert online.put(1, Batch(PART, position, position + 1, "-", entries))
        assert [value(online, kind, key) for kind in KINDS] == [(data, position)] * 2


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    keys=st.lists(st.sampled_from("abcdefghijklm"), max_size=30),
    cuts=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12),
)
def test_any_pieces_in_any_order_end_in_the_fold_of_what_was_taken(
    online: Online, keys: list[str], cuts: list[tuple[int, int]]
) -> None:
    state = online.state()
    generation = state.generation + 1 if state else 1
    assert online.begin(state.generation if state else None, generation)
    there = 0
    for start, end in cuts:
        piece = keys[start:end]
        taken = online.put(generation, batch(start, *piece))
        assert taken == (start <= there)
        there = max(there, start + len(piece)) if taken else there
    for kind in KINDS:
        newest = _slow(keys[:there], MOST if kind == "prediction" else 1_000)
        assert {key: value(online, kind, key) for key in "abcdefghijklm"} == newest


def test_racing_writers_leave_the_newest(online: Online) -> None:
    online.begin(None, 1)
    keys = [f"k{i % 7}" for i in range(300)]

    def write(step: int) -> None:
        start = 0
        while start < 300:
            there = online.state().places.get(PART, Place(0, ""))  # type: ignore[union-attr]
            start = max(0, there.next - step)  # old news and new news in one
            online.put(1, batch(start, *keys[start : start + 2 * step]))
            start = there.next

    threads = [Thread(target=write, args=(step,)) for step in (1, 3, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {f"k{i}": value(online, "entity", f"k{i}") for i in range(7)} == {
        key: (f"{key}@{i}".encode(), i) for i, key in enumerate(keys)
    }


@pytest.mark.parametrize("name", LASTING)
def test_entries_and_positions_outlive_the_client(
    name: str, request: Request, tmp_path: Path
) -> None:
    opened = BACKENDS[name](request, tmp_path)
    first = opened()
    first.begin(None, 1)
    first.put(1, batch(0, "a"))
    first.mark(1, {PART: 1}, 9)
    before = first.get("entity", "a")
    first.close()
    second = opened()
    assert second.get("entity", "a") == before
    second.close()


def test_sweeping_frees_older_generations_only(redis_url: str, redis_name: str) -> None:
    online = RedisOnline(redis_url, redis_name, MOST)
    other = RedisOnline(redis_url, f"{redis_name}x", MOST)
    for view in (online, other):
        view.begin(None, 1)
        view.put(1, batch(0, "a", "b"))
    online.begin(1, 2)
    online.put(2, batch(0, "c"))
    assert online.sweep() == 5, "two entities, two predictions, one list"
    assert online.sweep() == 0
    assert value(online, "entity", "c") == (b"c@0", 0)
    assert value(other, "entity", "a") == (b"a@0", 0)
    online.close()
    other.close()


def test_a_damaged_file_is_named_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "online.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(Fatal, match="delete the file"):
        SqliteOnline(tmp_path / "online.db", MOST)


def test_an_address_that_cannot_be_used_says_what_to_write(tmp_path: Path) -> None:
    for url in ("mongodb://here", "redis://host:port/0", "redis"):
        with pytest.raises(UsageError, match="redis://"):
            open_online(url, tmp_path, "demo", MOST).state()


def test_addresses_lead_to_their_backends(tmp_path: Path) -> None:
    for url, kind in (
        ("", SqliteOnline),
        (f"sqlite:///{tmp_path}/view.db", SqliteOnline),
        ("memory://", MemoryOnline),
        ("redis://127.0.0.1:1/0", RedisOnline),
        ("rediss://127.0.0.1:1/0", RedisOnline),
    ):
        view = open_online(url, tmp_path, "demo", MOST)
        assert isinstance(view, kind)
        view.close()


def _at_ms(online: Online) -> int | None:
    state = online.state()
    assert state is not None
    return state.at_ms


def _slow(keys: list[str], most: int) -> dict[str, tuple[bytes, int] | None]:
    newest: dict[str, tuple[bytes, int] | None] = dict.fromkeys("abcdefghijklm")
    for position, key in enumerate(keys):
        if position >= len(keys) - most:
            newest[key] = f"{key}@{position}".encode(), position
    return newest
