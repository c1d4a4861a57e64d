"""`headrace bench learning` as a process: JSON for programs, a table for people, errors in words."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.kit.runs import headrace


@pytest.mark.slow
def test_the_bench_as_a_command(tmp_path: Path) -> None:
    r = np.random.default_rng(0)
    x = r.normal(size=300)
    pd.DataFrame({"x": x, "y": (x > 0).astype(int)}).to_csv(tmp_path / "one.csv", index=False)
    pd.DataFrame({"x": x, "y": 2 * x + 0.1}).to_parquet(tmp_path / "two.parquet")
    asked = ("bench", "learning", "--data", tmp_path, "--peers", "baselines")
    done = headrace(*asked, "--delay", "5", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    rows = {(row["stream"], row["model"]): row for row in found["rows"]}
    assert len(rows) == 10 and found["error_ratio"] < 0.5
    ours = rows["one", "headrace"]
    assert ours["n"] == 300 and ours["delay"] == 5 and ours["accuracy"] > 0.8
    assert ours["memory_mb"] >= 0 and 0 < ours["state_mb"] < 64
    assert rows["one", "majority"]["headrace_ahead"] > 0.2
    assert rows["two", "headrace"]["r2"] > 0.8 and "coverage" in rows["two", "headrace"]
    again = headrace(*asked, "--streams", "one", "--rows", "100")
    assert again.returncode == 0, again.stderr
    assert "| headrace " in again.stdout and "one: 100 rows" in again.stdout


def test_a_mistake_is_answered_in_words(tmp_path: Path) -> None:
    done = headrace("bench", "learning", "--data", tmp_path)
    assert done.returncode == 2 and "holds no stream" in done.stderr
