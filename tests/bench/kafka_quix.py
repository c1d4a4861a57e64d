"""Quix Streams doing the score path: validate, keyed features, a River Hoeffding tree, publish,
exactly once. A script for an environment of its own (its pins do not go with ours): `python
kafka_quix.py ADDRESS NAME COUNT PARQUET`; one JSON object on standard output.

The same job as ours, in Quix's own idioms: types and ranges, an id seen in the last 100,000 events is
refused, the same features (lags up to a week from keyed state), and a prediction that carries them. It
is spared CloudEvents headers and what our experts say for learning later.
"""

import json
import sys
import tempfile
import time
from datetime import datetime
from typing import Any

import pandas as pd
from quixstreams import Application
from quixstreams.state import State
from river.tree import HoeffdingTreeClassifier

FIELDS = ("nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
LAGS = (1, 2, 47, 48, 335, 336)
DEPTH = max(LAGS)
REMEMBERED = 100_000
LEARNED = 2_000
WARM = 5_000
"""Events before the clock starts: what happens once is not the path."""


def learned(parquet: str) -> HoeffdingTreeClassifier:
    """A tree that has seen the first rows, as one from yesterday would have."""
    model = HoeffdingTreeClassifier()
    past: list[float] = []
    for row in pd.read_parquet(parquet).head(LEARNED).to_dict("records"):
        lags = {by: past[-by] if by <= len(past) else None for by in LAGS}
        model.learn_one(known(featured(row, row["time"], lags)), int(row["rises"]))
        past.append(row["nswdemand"])
    return model


def featured(
    event: dict[str, Any], at: datetime, lags: dict[int, float | None]
) -> dict[str, float | None]:
    """The features of examples/electricity/problem.yaml."""

    def change(new: float | None, old: float | None) -> float | None:
        return None if new is None or old is None else new - old

    x: dict[str, float | None] = {name: event[name] for name in FIELDS}
    x["time_of_day"] = (at.hour * 60 + at.minute) / 1440
    x["weekday"] = float(at.weekday())
    x |= {f"nswdemand_lag_{by}": lag for by, lag in lags.items()}
    x["change"] = change(event["nswdemand"], lags[1])
    x["change_yesterday"] = change(lags[47], lags[48])
    x["change_last_week"] = change(lags[335], lags[336])
    return x


def known(x: dict[str, float | None]) -> dict[str, float]:
    """River's trees take no missing values."""
    return {name: value for name, value in x.items() if value is not None}


def is_valid(event: dict[str, Any]) -> bool:
    """Types and ranges."""
    return isinstance(event.get("id"), str) and all(
        isinstance(event.get(name), float) and 0.0 <= event[name] <= 1.0 for name in FIELDS
    )


def is_new(event: dict[str, Any], state: State) -> bool:
    """Not among the ids of the last events of its key."""
    name, count = event["id"], state.get("ids", default=0)
    if state.exists(f"id/{name}"):
        return False
    slot = f"slot/{count % REMEMBERED}"
    if count >= REMEMBERED:
        state.delete(f"id/{state.get(slot)}")
    state.set(f"id/{name}", 1)
    state.set(slot, name)
    state.set("ids", count + 1)
    return True


def lagged(event: dict[str, Any], state: State) -> dict[int, float | None]:
    """Values before this one, from a ring in keyed state; then this one is put there."""
    count = state.get("values", default=0)
    lags = {by: state.get(f"value/{(count - by) % DEPTH}") if by <= count else None for by in LAGS}
    state.set(f"value/{count % DEPTH}", event["nswdemand"])
    state.set("values", count + 1)
    return lags


def main(address: str, name: str, count: int, parquet: str) -> None:
    """Consume `count` events, publish as many predictions."""
    model = learned(parquet)
    app = Application(
        broker_address=address, consumer_group=f"{name}.quix", auto_offset_reset="earliest",
        processing_guarantee="exactly-once", commit_every=1_000, commit_interval=5.0,
        state_dir=tempfile.mkdtemp(), loglevel="ERROR",
    )  # fmt: skip
    source = app.topic(f"{name}.events", value_deserializer="json")
    target = app.topic(f"{name}.quix", value_serializer="json")

    began = [0.0, 0.0]
    seen = iter(range(1, count + 1))

    def scored(event: dict[str, Any], state: State) -> dict[str, Any]:
        if next(seen) == WARM:
            began[:] = time.perf_counter(), time.process_time()
        at = datetime.fromisoformat(event["time"])
        x = featured(event, at, lagged(event, state))
        chances = {str(label): p for label, p in model.predict_proba_one(known(x)).items()}
        best = max(chances, key=lambda label: chances[label]) if chances else "0"
        return {
            "id": event["id"], "time": event["time"], "prediction": best, "model": "v1",
            "probabilities": chances, "features": x,
        }  # fmt: skip

    frame = app.dataframe(source).filter(is_valid).filter(is_new, stateful=True)
    frame.apply(scored, stateful=True).to_topic(target)
    app.run(count=count, timeout=60.0)
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    figures = {
        "events_per_s": (count - WARM) / wall,
        "cpu_us_per_event": cpu / (count - WARM) * 1e6,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
