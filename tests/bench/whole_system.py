"""CPU an event of the whole embedded system beside a plain River ARF(10) loop, in one run.

usage: python -m tests.bench.whole_system [--rows N] [--events N]
Prints one JSON object. Both sides see the same events, all of the example's; ARF(10) gets the very
features that the system logged, and does nothing but test-then-train, single thread. Quote the ratio.
A first run of ours fills the cache of compiled code and is not counted.
"""

import argparse
import json
import platform
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from river import __version__ as river_version
from river.forest import ARFClassifier

from tests.kit.runs import ELECTRICITY, run_json, shortened


def arf(outcomes: list[dict[str, Any]]) -> dict[str, float]:
    """Test-then-train over the logged features; missing values as 0."""
    model = ARFClassifier(n_models=10, seed=1)
    right, began = 0, time.process_time()
    for outcome in outcomes:
        x = {name: value or 0.0 for name, value in outcome["features"].items()}
        right += model.predict_one(x) == outcome["label"]
        model.learn_one(x, outcome["label"])
    seconds = time.process_time() - began
    return {
        "accuracy": right / len(outcomes),
        "cpu_us_per_event": seconds / len(outcomes) * 1e6,
        "events": len(outcomes),
    }


def logged(data_dir: Path, most: int) -> list[dict[str, Any]]:
    """The first `most` outcomes of a run."""
    with sqlite3.connect(f"file:{data_dir / 'log.db'}?mode=ro", uri=True) as db:
        rows = db.execute('SELECT value FROM outcomes ORDER BY "offset" LIMIT ?', (most or -1,))
        return [msgspec.json.decode(value) for (value,) in rows]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=0, help="only the example's first rows")
    parser.add_argument(
        "--events", type=int, default=0, help="only so many for ARF (default: all)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        problem = shortened(Path(folder), options.rows) if options.rows else ELECTRICITY
        run_json(problem, Path(folder) / "warm")  # compiles what is not in the cache yet
        ours = run_json(problem, Path(folder) / "data")
        peer = arf(logged(Path(folder) / "data", options.events))
    cost = {
        "headrace": ours["cpu_us_per_event"],
        "river_arf10": round(peer["cpu_us_per_event"], 1),
    }
    print(json.dumps({
        "cpu_us_per_event": cost,
        "ratio": round(cost["headrace"] / cost["river_arf10"], 3),
        "accuracy": {
            "headrace": ours["metrics"]["accuracy"],
            "river_arf10_on_its_events": round(peer["accuracy"], 4),
        },
        "events": {"headrace": ours["events"], "river_arf10": peer["events"]},
        "includes": "ingest, validation, features, scoring, joining, learning, monitoring, "
                    "retraining jobs in their own processes, archive, page data",
        "versions": {"python": platform.python_version(), "river": river_version},
        "machine": platform.processor() or platform.machine(),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
