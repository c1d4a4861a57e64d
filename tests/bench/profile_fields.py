"""CPU an event of profiling numbers, in batches of 1,000: from the features' dictionaries to the tile;
and of the fields behind as many scaled features (`profile.share` as it is by default): what is told
of them, written and read as JSON, to the tile.

usage: python -m tests.bench.profile_fields [--fields N] [--rounds N]
Prints one JSON object: microseconds of CPU an event, the least and the median of the rounds (the least
is what the code costs, the rest is what else the machine did), and the bytes that a full tile takes.
"""

import argparse
import json
import statistics
import time

import msgspec
import numpy as np

from services.console.fields import FieldProfiles
from shared.features.profile.block import PAIRED
from shared.features.profile.fields import RawFields
from shared.features.profile.tiles import Tiles
from shared.messages.types import Prediction
from shared.models.rows import matrix
from shared.problem.spec import Problem
from shared.problem.times import time_at

BATCH, BATCHES = 1_000, 20


def scaled(names: tuple[str, ...]) -> Problem:
    """A problem whose fields are all hidden behind features."""
    field = {"type": "number", "scale": "standard"}
    return Problem.model_validate({
        "name": "bench", "goal": "g", "task": "binary", "label": {"field": "y"},
        "events": {"fields": dict.fromkeys(names, field)},
    })  # fmt: skip


def fields_us(names: tuple[str, ...], events: list[dict[str, float]]) -> float:
    """CPU an event of telling, and of folding what was told."""
    problem = scaled(names)
    raw, profiles = RawFields(problem), FieldProfiles(problem)
    features: dict[str, float | None] = {f"{name}_scaled": 0.0 for name in names}
    said = [
        Prediction(id=f"e{n}", time=time_at(n * 10**6), prediction=0, model="v1",
                   features=features, feature_set="f")
        for n in range(len(events))
    ]  # fmt: skip
    began = time.process_time()
    for prediction, event in zip(said, events, strict=True):
        told = raw.told(prediction.id, event, features)
        if told is not None:
            prediction.fields = msgspec.json.decode(msgspec.json.encode(told))
        profiles.add(prediction)
    profiles.snapshot()
    return (time.process_time() - began) / len(events) * 1e6


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
    apart = [fields_us(names, events) for _ in range(options.rounds)]
    print(json.dumps({
        "us_per_event_of_fields": {
            "least": round(min(apart), 2),
            "median": round(statistics.median(apart), 2),
        },
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
