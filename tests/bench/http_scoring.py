"""Latency of `POST /v1/score` on the embedded system, over loopback HTTP.

    python -m tests.bench.http_scoring [events]

One client in turn, then eight at once; each event is on the log, durably, before it is answered.
"""

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.kit.serving import System, small_problem, system


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    with (
        tempfile.TemporaryDirectory() as folder,
        system(small_problem(time=None), Path(folder)) as running,
    ):
        _times(running, "warm", 50)
        result = {"events": count, "one_client": _figures(running, "one", count, 1)}
        result["eight_clients"] = _figures(running, "eight", count, 8)
    print(json.dumps(result))


def _figures(running: System, name: str, count: int, clients: int) -> dict[str, Any]:
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        parts = pool.map(lambda c: _times(running, f"{name}{c}", count // clients), range(clients))
        times_ms = [t for part in parts for t in part]
    seconds = time.perf_counter() - began
    p50, p99 = np.percentile(times_ms, [50, 99])
    return {"p50_ms": round(p50, 1), "p99_ms": round(p99, 1), "per_s": round(count / seconds)}


def _times(running: System, name: str, count: int) -> list[float]:
    times_ms = []
    with httpx.Client(base_url=running.url, timeout=30) as client:
        for number in range(count):
            event = {"id": f"{name}-{number}", "a": 1, "b": number}
            began = time.perf_counter()
            client.post("/v1/score", json=event).raise_for_status()
            times_ms.append((time.perf_counter() - began) * 1_000)
    return times_ms


if __name__ == "__main__":
    main()
