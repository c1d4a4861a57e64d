"""CPU an event of profiling numbers, in batches of 1,000: from the features' dictionaries to the tile.

usage: python -m tests.bench.profile_fields [--fields N] [--rounds N]
Prints one JSON object: microseconds of CPU an event, the least and the median of the rounds (the least
is what the code costs, the rest is what else the machine did), and the bytes that a full tile takes.
"""

import argparse
import json
import statistics
import time

import numpy as np

from shared.features.profile.block import PAIRED
from shared.features.profile.tiles import Tiles
from shared.models.rows import matrix

BATCH, BATCHES = 1_000, 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fields", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    names = tuple(f"field_{i}" for i in range(options.fields))
    rows = np.random.default_rng(1).normal(size=(BATCH * BATCHES, options.fields))
    events = [dict(zip(names, row, strict=True)) for row in rows.tolist()]
    times_s = np.arange(len(events)) * 1.0
    tiles = Tiles(names, 86_400.0)
    tiles.add(times_s[:BATCH], rows[:BATCH])  # compiled, or from the cache
    rounds = []
    for _ in range(options.rounds):
        began = time.process_time()
        for at in range(0, len(events), BATCH):
            batch = matrix(events[at : at + BATCH], names)
            tiles.add(times_s[at : at + BATCH], batch)
        rounds.append((time.process_time() - began) / len(events) * 1e6)
    print(json.dumps({
        "us_per_event": {
            "least": round(min(rounds), 2),
            "median": round(statistics.median(rounds), 2),
        },
        "fields": options.fields,
        "correlated": PAIRED,
        "rounds": options.rounds,
        "tile_bytes": max(len(tile.packed) for tile in tiles.tiles()),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
