"""What a key costs: memory of validator and featurizer over many keys, and the bound that is kept.

usage: python -m tests.bench.many_keys [--keys N] [--events N]
Prints one JSON object: bytes a key (growth of the process over its first `--keys` keys), the keys that
are kept after all events, and microseconds of CPU an event. Each event is of another key, a second
apart, so that beyond `--keys` each new one makes the oldest go.
"""

import argparse
import json
import resource
import time
from datetime import UTC, datetime, timedelta

from services.validator.core import Validator
from shared.features.feature_set import FeatureSet
from shared.messages.streams import EVENTS
from shared.problem.spec import Problem
from shared.problem.times import time_text
from shared.stage import Record

START = datetime(2024, 1, 1, tzinfo=UTC)
FEATURES = [
    {"kind": "lags", "field": "x", "by": [1]},
    {"kind": "decayed", "field": "x", "half_life": "1h"},
    {"kind": "since", "name": "pause"},
]


def problem(keys: int) -> Problem:
    """A key's newest value, fading mean and pause: 100,000 ids, `keys` keys, a day each."""
    fields = {"k": {"type": "text"}, "x": {"type": "number"}}
    events = {"id": "id", "time": "at", "key": "k", "fields": fields, "max_keys": keys}
    return Problem.model_validate({
        "name": "many", "goal": "", "task": "binary", "label": {"field": "y"},
        "events": events | {"expire": "30d"}, "features": FEATURES,
    })  # fmt: skip


def used_bytes() -> int:
    """The most that the process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=0, help="0: a fifth more than keys")
    options = parser.parse_args()
    most, count = options.keys, options.events or options.keys * 6 // 5
    spec = problem(most)
    validator, features = Validator(spec), FeatureSet(spec)
    before_bytes, began = used_bytes(), time.process_time()
    full_bytes = 0
    for n in range(count):
        at = time_text(START + timedelta(seconds=n))
        raw = f'{{"id":"e{n}","at":"{at}","k":"k{n}","x":{n % 7}.5}}'.encode()
        for out in validator.handle([Record(EVENTS, raw, None, 0, n, n, 0)]):
            features.transform(out.value)
        if n % 1_000 == 0:  # as often as a checkpoint: what was saved is let go
            for stage in (validator, features):
                for _ in stage.changes():
                    pass
        if n + 1 == most:
            full_bytes = used_bytes() - before_bytes
    print(json.dumps({
        "bytes_per_key": round(full_bytes / most),
        "keys_kept": count - features.forgotten,
        "forgotten": features.forgotten,
        "grown_bytes_at_the_end": used_bytes() - before_bytes,
        "us_per_event": round((time.process_time() - began) / count * 1e6, 2),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
