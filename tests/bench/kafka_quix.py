"""Quix Streams doing the score path: validate, keyed features, a River Hoeffding tree, publish,
exactly once. A script for an environment of its own (its pins do not go with ours): `python
kafka_quix.py ADDRESS NAME COUNT PARQUET`; one JSON object on standard output.

It is given less to do than Headrace: two lags instead of six and no duplicate check, a model that only
predicts, and a short prediction record.
"""

import json
import sys
import tempfile
import time
from typing import Any

import pandas as pd
from quixstreams import Application
from quixstreams.state import State
from river.tree import HoeffdingTreeClassifier

FIELDS = ("nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
LEARNED = 2_000


def learned(parquet: str) -> HoeffdingTreeClassifier:
    """A tree that has seen the first rows, as one from yesterday would have."""
    model = HoeffdingTreeClassifier()
    before = [0.0, 0.0]
    for row in pd.read_parquet(parquet).head(LEARNED).to_dict("records"):
        model.learn_one(featured(row, before), int(row["rises"]))
        before = [row["nswdemand"], before[0]]
    return model


def featured(event: dict[str, Any], before: list[float]) -> dict[str, float]:
    """Numbers for the model."""
    hour = int(event["time"][11:13]) if isinstance(event["time"], str) else event["time"].hour
    x = {name: float(event[name]) for name in FIELDS}
    x |= {"hour": float(hour), "lag_1": before[0], "lag_2": before[1]}
    x["change"] = x["nswdemand"] - before[0]
    return x


def valid(event: dict[str, Any]) -> bool:
    """Types and ranges."""
    return isinstance(event.get("id"), str) and all(
        isinstance(event.get(name), float) and 0.0 <= event[name] <= 1.0 for name in FIELDS
    )


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

    def scored(event: dict[str, Any], state: State) -> dict[str, Any]:
        before = state.get("before", default=[0.0, 0.0])
        x = featured(event, before)
        state.set("before", [x["nswdemand"], before[0]])
        chances = {str(label): p for label, p in model.predict_proba_one(x).items()}
        best = max(chances, key=lambda label: chances[label]) if chances else "0"
        return {"id": event["id"], "prediction": best, "probabilities": chances, "model": "v1"}

    app.dataframe(source).filter(valid).apply(scored, stateful=True).to_topic(target)
    wall, cpu = time.perf_counter(), time.process_time()
    app.run(count=count, timeout=60.0)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sys.stdout.write(
        json.dumps({"events_per_s": count / wall, "cpu_us_per_event": cpu / count * 1e6}) + "\n"
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
