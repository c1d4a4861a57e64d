"""`headrace report`: one file from the log alone, that asks nobody for anything."""

import re
from pathlib import Path

import numpy as np
import pytest

from services.inspection import Run
from services.reporting import SAMPLED, report
from shared import wiring
from shared.errors import UsageError
from shared.features.profile.sample import Sample
from shared.log.port import Append
from shared.messages.codec import encode
from shared.messages.streams import ALERTS, MODELS, PREDICTIONS
from shared.messages.types import Alert
from shared.settings import load
from tests.unit.console.synthetic import HOSTILE, START, Story, problem

RECORDS = [r for r in Story(900).records() if r.stream in (PREDICTIONS, MODELS, ALERTS)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run's log with the story on it, and an alert with an attack in it."""
    alert = Alert(
        alert="a-9", kind="inputs", cause="input_drift", severity="warn", state="open", since=START,
        time=START, series="inputs", text=HOSTILE,
    )  # fmt: skip
    log = wiring.open_log(load(), tmp_path, "electricity")
    with log.begin("test") as transaction:
        transaction.append(
            Append(r.stream, encode(r.value), r.key) for r in RECORDS if r.stream is not MODELS
        )
        transaction.append([Append(ALERTS, encode(alert), "a-9")])
    log.close()
    return Run(tmp_path, "electricity")


@pytest.mark.parametrize("declared", [False, True])
def test_the_file_holds_all_rows_and_needs_nothing(
    run: Run, tmp_path: Path, declared: bool
) -> None:
    out = tmp_path / "report.html"
    rows = sum(r.stream is PREDICTIONS for r in RECORDS)
    found = report(run, problem() if declared else None, out)
    assert found["rows"] == rows
    html = out.read_text()
    assert f"{rows:,} rows" in html
    assert html.count("<circle") == 3 * SAMPLED  # three features, three pairs
    assert "Drift and missing values over time" in html
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
    assert all(target.startswith("#") for target in re.findall(r'(?:href|src)="([^"]*)"', html))
    assert not re.search(r"<script|<link|<img|@import|url\(|https?://", html)
    again = tmp_path / "again.html"
    report(run, problem() if declared else None, again)
    assert again.read_bytes() == out.read_bytes()


def test_without_predictions_it_says_so(tmp_path: Path) -> None:
    wiring.open_log(load(), tmp_path, "electricity").close()
    with pytest.raises(UsageError, match="no prediction on the log"):
        report(Run(tmp_path, "electricity"), None, tmp_path / "report.html")


def test_a_sample_depends_on_ids_alone_and_is_fair() -> None:
    rows = [(f"e{n}", (float(n),)) for n in range(4_000)]
    one, other = Sample(200, 1), Sample(200, 1)
    for name, row in rows:
        one.add(name, row)
    for place in np.random.default_rng(1).permutation(len(rows)):
        other.add(*rows[place])
        other.add(*rows[place])
    assert (one.rows() == other.rows()).all()
    assert len(np.unique(one.rows())) == 200
    another = Sample(200, 2)
    for name, row in rows:
        another.add(name, row)
    assert (another.rows() != one.rows()).any()
    assert abs(one.rows().mean() - 2_000) < 4 * 4_000 / np.sqrt(12 * 200)
