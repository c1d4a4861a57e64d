"""What the online view costs: following predictions, rebuilding after a loss, and lookups.

`python -m tests.bench.online_view [ENTITIES] [ROUNDS]`; JSON on standard output: microseconds an event
(wall clock, and CPU of this process; the server's CPU beside it) for each backend, medians over the
rounds; seconds and server memory for a rebuild of ENTITIES entities after FLUSHALL, with two
predictions each; and lookups, one after the other. The server is a binary of this machine
(`tests/kit/redis_server.py`).
"""

import json
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from services.console.online import MOST_PREDICTIONS, OnlineView
from shared.log.memory import MemoryLog
from shared.messages.codec import encode
from shared.online.memory import MemoryOnline
from shared.online.port import Online
from shared.online.redis_store import RedisOnline
from shared.online.sqlite import SqliteOnline
from tests.kit.online import is_whole, predict, prediction, problem
from tests.kit.redis_server import Server, binary

PROBLEM = problem()
LOOKUPS = 2_000


def followed(store: Online, log: MemoryLog, server: "redis.Redis | None") -> dict[str, float]:
    """Microseconds an event from nothing to a whole view."""
    view, count = OnlineView(store, PROBLEM), 0
    wall, cpu, theirs = time.perf_counter(), time.process_time(), _server_cpu_s(server)
    while not is_whole(store):
        count += view.step(log)
    return {
        "wall_us": (time.perf_counter() - wall) / count * 1e6,
        "cpu_us": (time.process_time() - cpu) / count * 1e6,
        "server_cpu_us": (_server_cpu_s(server) - theirs) / count * 1e6,
    }


def reading(log: MemoryLog, count: int) -> float:
    """Microseconds an event of reading this log alone, which the figures include."""
    start = time.perf_counter()
    for first in range(0, count, 1_000):
        log.read(("predictions",), {"predictions": first}, 1_000)  # type: ignore[arg-type]
    return (time.perf_counter() - start) / count * 1e6


def measured(server: Server, entities: int, rounds: int, folder: Path) -> dict[str, Any]:
    count = 2 * entities
    log = MemoryLog()
    predict(log, 0, count, entities)
    client = redis.Redis.from_url(server.url)
    backends: dict[str, Callable[[int], Online]] = {
        "memory": lambda turn: MemoryOnline(MOST_PREDICTIONS),
        "sqlite": lambda turn: SqliteOnline(folder / f"view{turn}.db", MOST_PREDICTIONS),
        "redis": lambda turn: RedisOnline(server.url, "bench", MOST_PREDICTIONS),
    }
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in backends}
    empty = int(client.info("memory")["used_memory"])
    rebuilt_s = []
    for turn in range(rounds):
        for name, opened in backends.items():
            client.flushall()
            store = opened(turn)
            rows[name].append(followed(store, log, client if name == "redis" else None))
            if name == "redis":
                rebuilt_s.append(_rebuilt_s(store, log, client))
                used = int(client.info("memory")["used_memory"]) - empty
                looked_us = _looked_us(store)
            store.close()
    return {
        "events": count,
        "entities": entities,
        "record_bytes": len(encode(prediction(0))),
        "log_read_us": round(reading(log, count), 2),
        "us_an_event": {name: _medians(found) for name, found in rows.items()},
        "rebuild_after_flushall_s": round(statistics.median(rebuilt_s), 2),
        "redis_memory_mb": round(used / 1e6, 1),
        "process_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "lookup_us": round(looked_us, 1),
        "server": client.info("server")["redis_version"],
        "python": platform.python_version(),
        "machine": platform.platform(),
    }


def _rebuilt_s(store: Online, log: MemoryLog, client: "redis.Redis") -> float:
    """From FLUSHALL under a follower that is idle until the view is whole again."""
    view = OnlineView(store, PROBLEM)
    view.step(log)
    client.flushall()
    start = time.perf_counter()
    while True:
        view.step(log)
        if is_whole(store):
            return time.perf_counter() - start


def _looked_us(store: Online) -> float:
    start = time.perf_counter()
    for i in range(LOOKUPS):
        found, _ = store.get("entity", f"key{i}")
        assert found is not None
    return (time.perf_counter() - start) / LOOKUPS * 1e6


def _server_cpu_s(client: "redis.Redis | None") -> float:
    if client is None:
        return 0.0
    used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(row[name] for row in rows), 2) for name in rows[0]}


def main() -> None:
    entities = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), binary())
        server.start()
        try:
            print(json.dumps(measured(server, entities, rounds, Path(folder)), indent=1))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
