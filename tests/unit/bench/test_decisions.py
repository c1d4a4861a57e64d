"""The rule of promotion keeps what docs/DECISIONS.md claims of it, on fewer contests."""

import json

import numpy as np
import pandas as pd
import pytest

from services.decision_tables import show
from shared.bench.contests import OURS, RULES, by_gate, decided
from shared.bench.decisions import Cell, Trial, cells, claims, report
from shared.bench.pairs import Equals, Independent, Turns, equal_losses
from shared.bench.streams import read_stream
from shared.errors import UsageError
from tests.kit.runs import ELECTRICITY, headrace


@pytest.mark.slow
def test_equal_models_are_seldom_promoted_and_better_ones_soon(tmp_path) -> None:
    """500 contests each: over the claim by two standard errors at most (2.3 points at 7 %)."""
    table = pd.read_parquet(ELECTRICITY.parent / "electricity.parquet").head(5_000)
    table.select_dtypes("number").to_parquet(tmp_path / "electricity.parquet")
    losses = equal_losses(read_stream(tmp_path / "electricity.parquet", "rises"), (1, 2))
    r = np.random.default_rng(7)
    for flip in (256, 1_024):
        d = Equals(losses, flip).draw(500, 12_000, r)
        assert np.mean(decided(by_gate, d) > 0) <= 0.07 + 0.023
    runs = Turns(0.12, 64).draw(500, 12_000, r)
    assert np.mean(decided(by_gate, runs) > 0) <= 0.07 + 0.023
    assert np.mean(decided(lambda x: by_gate(x, tempered=False), runs) > 0) > 0.07 + 0.023
    equal = decided(by_gate, Independent(0.2).draw(500, 12_000, r))
    assert np.mean(equal > 0) <= 0.05 + 0.02
    better = decided(by_gate, Independent(0.2, 0.02).draw(300, 12_000, r))
    assert np.mean(better > 0) > 0.9
    assert np.median(np.where(better > 0, better, 10**9)) <= 5_000


def test_claims_are_told_from_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    def cell(kind, pairs, gain=0.0, rule=OURS):
        return Cell(kind, "s", rule, np.array(pairs), 0.2001, gain, 1.0)

    done = [cell("real", [0] * 19 + [700]), cell("real", [0] * 9 + [700]), cell("turns", [9, 9])]
    done += [cell("better", [4_000, 5_200, 0], 0.02), cell("real", [5], rule="another")]
    real, median = claims(done)
    assert (real["found"], real["holds"]) == (0.1, False)
    assert (median["found"], median["holds"]) == (5_200.0, False)
    json.dumps(report(Trial(), done), allow_nan=False)
    for rule in RULES:
        done += [cell("real", [0, 9], rule=rule), cell("better", [0, 9], 0.02, rule)]
    show(Trial(), done[-2 * len(RULES) :])
    assert "What is claimed" in (told := capsys.readouterr().out) and "50.0 ±35.4" in told
    assert cell("better", [7, 0]).median_pairs is None


@pytest.mark.slow
def test_the_bench_as_a_command(tmp_path) -> None:
    done = headrace("bench", "decisions", "--contests", "20", "--pairs", "2048", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found["claims"]) == 2 and {row["kind"] for row in found["rows"]} == {
        "independent", "worse", "turns", "better",
    }  # fmt: skip
    pd.DataFrame({"x": range(100), "y": [0, 1] * 50}).to_csv(tmp_path / "short.csv")
    with pytest.raises(UsageError, match="no stream of classes with 5,000"):
        list(cells(Trial(tmp_path), lambda line: None))
