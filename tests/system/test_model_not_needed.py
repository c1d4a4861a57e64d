"""Where a rule does better than learning, the user is told so: in the terminal and in `--json`."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.kit.runs import ELECTRICITY, headrace

ROWS = 6_000
PROBLEM = {
    "name": "cheap",
    "goal": "Say whether the price is below its mean of the day before.",
    "task": "binary",
    "source": {"path": "prices.parquet"},
    "events": {
        "time": "time",
        "fields": {name: {"type": "number"} for name in ("nswprice", "nswdemand", "transfer")},
    },
    "label": {"field": "cheap", "classes": [0, 1]},
    "features": [
        {
            "kind": "window", "field": "nswprice", "of": ["mean"], "size": 48,
            "include_now": False, "minus_now": True,
        }
    ],
    "evaluation": {
        "rules": [{"name": "below_mean", "expression": "nswprice_minus_mean_48 <= 0"}]
    },
}  # fmt: skip


@pytest.mark.slow
def test_a_label_that_is_a_rule_is_called_one(tmp_path: Path) -> None:
    """Half-hours of the example, labelled as the Elec2 data set is: by the mean of 48 prices before."""
    frame = pd.read_parquet(ELECTRICITY.parent / "electricity.parquet").head(ROWS)
    mean = frame.nswprice.shift(1).rolling(48, min_periods=1).mean()
    frame = frame[["time", "nswprice", "nswdemand", "transfer"]]
    frame.assign(cheap=(frame.nswprice <= mean).astype(int)).to_parquet(
        tmp_path / "prices.parquet"
    )
    problem = tmp_path / "problem.yaml"
    problem.write_text(json.dumps(PROBLEM))
    told = headrace("run", problem, "--data-dir", tmp_path / "data", "--port", "0")
    assert told.returncode == 0, told.stderr
    again = headrace("run", problem, "--data-dir", tmp_path / "data", "--json")
    found = json.loads(again.stdout.splitlines()[-1])
    assert found["metrics"]["accuracy"] > 0.97  # the declared window makes it easy to learn ...
    assert found["baselines"]["below_mean"]["accuracy"] > 0.999  # ... and needless
    verdict = found["verdict"]
    assert verdict["needed"] is False and verdict["enough"] == "below_mean"
    sentence = "A model is not needed: the rule `below_mean` (nswprice_minus_mean_48 <= 0)"
    assert verdict["text"].startswith(sentence)
    assert verdict["text"] in " ".join(told.stdout.split())
