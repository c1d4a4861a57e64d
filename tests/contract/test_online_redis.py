"""The online view on a Redis that is killed, emptied, paused, full, or an older copy of itself."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
import redis

from services.console.online import OnlineView, following
from shared.errors import Fatal, Retryable
from shared.online.port import Batch, Place
from shared.online.redis_store import RedisOnline
from tests.kit.online import SharedLog, entities_of, newest, predict, problem
from tests.kit.redis_server import Server, binary, redis_name, redis_own
from tests.kit.servers import wait_for

pytestmark = pytest.mark.slow

__all__ = ["redis_name", "redis_own"]
PROBLEM = problem()
ENTITIES = 50
TIMEOUT_S = 0.3
PART = "predictions"


@pytest.fixture
def store(redis_own: Server, redis_name: str) -> Iterator[RedisOnline]:
    view = RedisOnline(redis_own.url, redis_name, 1_000, TIMEOUT_S)
    yield view
    view.close()


class Heard(list[str]):
    def __call__(self, text: str) -> None:
        self.append(text)


@contextmanager
def stream(rate: int = 20) -> Iterator[tuple[SharedLog, Callable[[], int]]]:
    """A stream that goes on whatever happens to the store; how many predictions it has by now."""
    log, stop, written = SharedLog(), Event(), [0]

    def produce() -> None:
        while not stop.wait(0.005):
            with log.writing():
                predict(log, written[0], written[0] + rate, ENTITIES)
            written[0] += rate

    producer = Thread(target=produce)
    producer.start()
    try:
        yield log, lambda: written[0]
    finally:
        stop.set()
        producer.join()


def agrees(store: RedisOnline, end: int) -> bool:
    """Whether the view, whole, is the fold over the first `end` records."""
    state = store.state()
    if state is None or state.at_ms is None or state.places.get(PART, Place(0, "")).next != end:
        return False
    return entities_of(store, ENTITIES) == newest(end, ENTITIES)


def survives(store: RedisOnline, fault: Callable[[], None]) -> Heard:
    """`fault` happens while the stream goes on; in the end the view is the fold over the log."""
    heard = Heard()
    with stream() as (log, written), following(OnlineView(store, PROBLEM), lambda: log, heard):
        wait_for(lambda: _near(store, 400), 20, "the view to begin")
        before = written()
        fault()
        wait_for(lambda: written() > before + 200, 20, "the stream to go on")
        wait_for(lambda: _near(store, before), 20, "the view to go on")
    with following(OnlineView(store, PROBLEM), lambda: log, heard):
        wait_for(lambda: agrees(store, written()), 20, "the view to agree with the log")
    return heard


def _near(store: RedisOnline, before: int) -> bool:
    try:
        state = store.state()
    except Retryable:
        return False
    return (
        state is not None
        and state.at_ms is not None
        and state.places.get(PART, Place(0, "")).next > before
    )


def test_killed_and_restarted_empty(store: RedisOnline, redis_own: Server) -> None:
    def fault() -> None:
        redis_own.kill()
        threading.Event().wait(0.5)
        redis_own.start()

    heard = survives(store, fault)
    assert any("does not answer" in text for text in heard)
    assert any("goes on" in text for text in heard)


def test_emptied_in_the_middle_of_the_stream(store: RedisOnline, redis_own: Server) -> None:
    with redis.Redis.from_url(redis_own.url) as client:
        survives(store, lambda: client.flushall())


def test_paused_for_longer_than_the_timeout(store: RedisOnline, redis_own: Server) -> None:
    def fault() -> None:
        redis_own.kill(signal.SIGSTOP)
        with pytest.raises(Retryable, match="does not answer"):
            store.get("entity", "key1")
        threading.Event().wait(4 * TIMEOUT_S)
        redis_own.kill(signal.SIGCONT)

    heard = survives(store, fault)
    assert any("does not answer" in text for text in heard)


def test_restarted_from_an_older_copy(tmp_path: Path, redis_name: str) -> None:
    """As a failover does to a replica that was behind: older positions come with older values."""
    server = Server(tmp_path, binary(), "--dbfilename", "older.rdb")
    server.start()
    store = RedisOnline(server.url, redis_name, 1_000, TIMEOUT_S)
    log = SharedLog()
    try:
        predict(log, 0, 120)
        view = OnlineView(store, PROBLEM)
        view.step(log)
        with redis.Redis.from_url(server.url) as client:
            client.save()
        generation = store.state()
        predict(log, 120, 400)
        view.step(log)
        assert agrees(store, 400)
        server.kill()
        server.start()
        older = store.state()
        assert older is not None
        assert older == generation, "older values, and it says that it is as old"
        assert entities_of(store, ENTITIES) == newest(120, ENTITIES)
        for _ in range(3):
            view.step(log)
        assert agrees(store, 400)
    finally:
        store.close()
        server.stop()


def test_requests_of_before_a_pause_are_too_late(store: RedisOnline, redis_own: Server) -> None:
    """What was sent before the pause is carried out after it, behind the work of another writer."""
    log = SharedLog()
    predict(log, 0, 100)
    view = OnlineView(store, PROBLEM)
    view.step(log)
    generation = store.state()
    assert generation is not None
    late = RedisOnline(redis_own.url, store._prefix.rstrip(":"), 1_000, TIMEOUT_S)
    older = Batch(PART, 40, 41, "-", [("entity", "key40", b"{}", 40)])
    redis_own.kill(signal.SIGSTOP)
    with pytest.raises(Retryable):
        late.put(generation.generation, older)
    redis_own.kill(signal.SIGCONT)
    wait_for(lambda: agrees(store, 100), 10, "the older write to be refused")
    late.close()


def test_a_batch_is_there_as_a_whole_or_not_at_all(store: RedisOnline, redis_own: Server) -> None:
    """Killed at some moment of a large batch; the file that it wrote last is what it restarts from."""
    with redis.Redis.from_url(redis_own.url) as client:
        client.config_set("appendonly", "yes")
        client.config_set("appendfsync", "always")
    log = SharedLog()
    predict(log, 0, 20_000, ENTITIES)
    view = OnlineView(store, PROBLEM)
    view.step(log, 1_000)
    killer = threading.Timer(0.05, redis_own.kill)
    killer.start()
    with pytest.raises(Retryable):
        while True:
            view.step(log, 1_000)
    killer.join()
    redis_own.start_again("--appendonly", "yes")
    wait_for(lambda: store.state() is not None, 10, "Redis to read its file")
    state = store.state()
    assert state is not None
    there = state.places[PART].next
    assert there % 1_000 == 0
    assert entities_of(store, ENTITIES) == newest(there, ENTITIES)
    while view.step(log, 1_000):
        pass
    assert agrees(store, 20_000)


def test_a_reader_never_takes_an_older_value_for_the_newest(
    store: RedisOnline, redis_own: Server
) -> None:
    """Whatever a lookup says is whole holds the newest of all that was committed by its moment."""
    log, committed, wrong = SharedLog(), [], []
    stop = Event()
    reader = RedisOnline(redis_own.url, store._prefix.rstrip(":"), 1_000, TIMEOUT_S)

    def look() -> None:
        while not stop.is_set():
            known = list(committed)
            try:
                found, state = reader.get("entity", "key0")
            except Retryable:
                continue
            if state is None or state.at_ms is None:
                continue
            due = max((offset for at_ms, offset in known if at_ms < state.at_ms), default=-1)
            if due >= 0 and (found is None or found[1] < due):
                wrong.append((found and found[1], due))

    looker = Thread(target=look)
    looker.start()
    view = OnlineView(store, PROBLEM)
    with redis.Redis.from_url(redis_own.url) as client, following(view, lambda: log, Heard()):
        for turn in range(60):
            with log.writing():
                predict(log, turn * 50, turn * 50 + 50, ENTITIES)
            committed.append((view._now_ms() + 1, turn * 50))
            if turn % 20 == 10:
                client.flushall()
            stop.wait(0.03)
        wait_for(lambda: agrees(store, 3_000), 20, "the view to agree with the log")
    stop.set()
    looker.join()
    reader.close()
    assert not wrong
    assert committed


def test_a_full_server_keeps_the_view_as_it_was(store: RedisOnline, redis_own: Server) -> None:
    log = SharedLog()
    predict(log, 0, 100)
    view = OnlineView(store, PROBLEM)
    view.step(log)
    predict(log, 100, 200)
    with redis.Redis.from_url(redis_own.url) as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(Retryable, match="maxmemory"):
            view.step(log)
        assert agrees(store, 100)
        client.config_set("maxmemory", "0")
    for _ in range(3):
        view.step(log)
    assert agrees(store, 200)


def test_a_wrong_password_is_named(redis_own: Server, redis_name: str) -> None:
    with redis.Redis.from_url(redis_own.url) as client:
        client.config_set("requirepass", "right")
    wrong = RedisOnline(redis_own.url.replace("//", "//:wrong@"), redis_name, 10, TIMEOUT_S)
    with pytest.raises(Fatal, match=r"refuses us.*HEADRACE_ONLINE"):
        wrong.state()
    wrong.close()


def test_nobody_there_is_retryable_within_the_bound(redis_own: Server, redis_name: str) -> None:
    redis_own.stop()
    nobody = RedisOnline(redis_own.url, redis_name, 10, TIMEOUT_S)
    with pytest.raises(Retryable, match=redis_own.address):
        nobody.state()
    nobody.close()
