"""CPU an event of validation and features, in batches of 1,000, on the electricity example.

usage: python -m tests.bench.checked_features [--rounds N]
Prints one JSON object: microseconds of CPU an event, the least and the median of the rounds (the least
is what the code costs, the rest is what else the machine did), and how often msgspec could have decoded
the event in that time (measured in the same rounds: a busy machine slows both).
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence

import msgspec

from services.collector.replay import arrivals
from services.collector.sources.table import rows_of
from services.featurizer.core import Featurizer
from services.validator.core import Validator
from shared.messages.streams import EVENTS
from shared.problem.load import load_problem
from shared.problem.spec import Problem
from shared.stage import Record
from tests.kit.runs import ELECTRICITY

BATCH = 1_000


def events(problem: Problem) -> list[Record]:
    """The example's events as they stand on the log."""
    path = ELECTRICITY.parent / "electricity.parquet"
    found = (a for a in arrivals(rows_of(path, problem), problem) if a.stream is EVENTS)
    return [
        Record(EVENTS, a.value, a.key, 0, n, n, int(a.time.timestamp() * 1000))
        for n, a in enumerate(found)
    ]


def seconds(problem: Problem, records: Sequence[Record]) -> tuple[float, float, float]:
    """CPU of the validator, of the featurizer and of a bare decoding over all records."""
    validator, featurizer = Validator(problem), Featurizer(problem)
    decode = msgspec.json.Decoder().decode
    began = time.process_time()
    for record in records:
        decode(record.value)
    bare = time.process_time() - began
    spent = [0.0, 0.0]
    for at in range(0, len(records), BATCH):
        began = time.process_time()
        outs = list(validator.handle(records[at : at + BATCH]))
        between = time.process_time()
        passed_on = [
            Record(out.stream, out.value, out.key, 0, -1, out.cause.seq, out.cause.timestamp_ms)
            for out in outs
        ]
        again = time.process_time()
        for _ in featurizer.handle(passed_on):
            pass
        spent[0] += between - began
        spent[1] += time.process_time() - again
    return spent[0], spent[1], bare


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    problem = load_problem(ELECTRICITY)
    records = events(problem)
    rounds = [seconds(problem, records) for _ in range(options.rounds)]
    scale = 1e6 / len(records)
    validator, featurizer, bare = zip(*rounds, strict=True)
    together = [one[0] + one[1] for one in rounds]
    ratios = [both / decoded for both, decoded in zip(together, bare, strict=True)]
    print(json.dumps({
        "us_per_event": {
            "least": round(min(together) * scale, 2),
            "median": round(statistics.median(together) * scale, 2),
            "validator": round(min(validator) * scale, 2),
            "featurizer": round(min(featurizer) * scale, 2),
        },
        "bare_decodings": round(statistics.median(ratios), 2),
        "events": len(records),
        "rounds": options.rounds,
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
