"""The bench of policies: nobody knows more than has come, and the sums are right."""

import json

import numpy as np
import pandas as pd
import pytest

from services.retraining_tables import show
from shared.bench.refits import FIRST, GRID, Refits, refits
from shared.bench.retraining import (
    COST,
    DELAYS,
    PRICES,
    Bill,
    Detector,
    Plan,
    bills,
    claims,
    policies,
    report,
    simulate,
)
from shared.bench.streams import Stream
from shared.evaluation.retraining.table import policy_of
from shared.problem.triggers import OnVolume
from tests.kit.runs import headrace

ROWS = FIRST + 12 * GRID


def made_up(seed: int = 0) -> Refits:
    """A model errs in 5 % of the rows when fresh, and more with each grid step of age."""
    r = np.random.default_rng(seed)
    places = np.arange(FIRST, ROWS, GRID)
    errors = np.full((len(places), ROWS), 2, np.int8)
    for row, place in zip(errors, places, strict=True):
        age = (np.arange(place, ROWS) - place) // GRID
        row[place:] = r.random(ROWS - place) < 0.05 + 0.05 * age
    return Refits("made", "up", places, errors, 0.01)


def test_a_period_and_never_are_summed_by_hand() -> None:
    found = made_up()
    assert simulate(found, None, None, 0) == (int(found.errors[0, FIRST:].sum()), 1)
    every = policy_of(OnVolume(on="volume", outcomes=2 * GRID))
    errors, fits = simulate(found, every, None, 0)
    # the count of outcomes starts at 0: asked at FIRST + 1, then every two steps
    served, serving, last, wanted = 0, 0, 0, False
    for t in range(FIRST, ROWS):
        if wanted and (t - FIRST) % GRID == 0:
            serving, wanted = (t - FIRST) // GRID, False
        served += int(found.errors[serving, t])
        if t + 1 - last >= 2 * GRID:
            last, wanted = t + 1, True
    assert errors == served and fits > 4


@pytest.mark.parametrize("delay", DELAYS)
def test_nobody_knows_a_label_before_it_has_come(delay: int) -> None:
    """Other errors from row T on change nothing that was decided before their labels came."""
    cut = FIRST + 6 * GRID

    def places_of(found: Refits, name: str) -> list[int]:
        trigger, alarm = policies(20.0)[name]
        made, seen = policy_of(trigger), []
        fitted = made.fitted
        made.fitted = lambda at: (seen.append(at), fitted(at))[1]  # type: ignore[method-assign]
        simulate(found, made, alarm, delay)
        return seen

    one, other = made_up(), made_up()
    other.errors[:, cut:] = np.where(other.errors[:, cut:] == 2, 2, 1)
    for name in (COST, "drift only", "performance"):
        before = [[at for at in places_of(f, name) if at <= cut + delay] for f in (one, other)]
        assert before[0] == before[1]
    assert any(places_of(one, name) != places_of(other, name) for name in (COST, "drift only"))


def test_late_fits_are_made_of_late_labels() -> None:
    found = made_up()
    every = OnVolume(on="volume", outcomes=GRID)
    late, _ = simulate(found, policy_of(every), None, DELAYS[1])
    timely, _ = simulate(found, policy_of(every), None, 0)
    assert late > timely


def test_the_detector_hears_a_rise() -> None:
    r, detector = np.random.default_rng(0), Detector()
    assert not any(detector.update(int(e)) for e in r.random(2_000) < 0.1)
    assert any(detector.update(int(e)) for e in r.random(400) < 0.5)


def test_refits_know_only_the_past() -> None:
    r = np.random.default_rng(0)
    x = r.normal(size=(FIRST + 2 * GRID, 2))
    y = (x[:, 0] > 0).astype(np.int64)
    y[FIRST + GRID :] ^= 1
    found = refits(Stream("s", x, y, (0, 1)), "linear")
    assert found.errors.shape == (2, len(x)) and np.all(found.errors[1, : FIRST + GRID] == 2)
    assert found.errors[0, FIRST : FIRST + GRID].mean() < 0.05
    assert found.errors[1, FIRST + GRID :].mean() > 0.9


def test_claims_are_told_from_the_bills(capsys: pytest.CaptureFixture[str]) -> None:
    done = [
        Bill("s", "linear", delay, price, name, 100 + 50 * (name != COST), 2, 1.0 + (name != COST))
        for delay in DELAYS
        for price in PRICES
        for name in policies(price)
    ]
    assert all(claim["holds"] for claim in claims(done))
    show(done)
    assert "2.00" in capsys.readouterr().out
    json.dumps(report(Plan(None), done), allow_nan=False)  # type: ignore[arg-type]
    worse = [Bill(*(getattr(b, n) for n in b.__slots__[:-1]), 1.4) for b in done]
    assert [claim["holds"] for claim in claims(worse)[:2]] == [False, False]


@pytest.mark.slow
def test_the_bench_as_a_command(tmp_path) -> None:
    r = np.random.default_rng(1)
    x = r.normal(size=(5_120, 2))
    y = (x[:, 0] > 0) ^ (np.arange(len(x)) > 3_000)
    pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y.astype(int)}).to_parquet(
        tmp_path / "s.parquet"
    )
    command = ("bench", "retraining", "--data", tmp_path, "--keep", tmp_path / "kept")
    done, again = headrace(*command, "--json"), headrace(*command, "--json")
    assert done.returncode == 0, done.stderr
    assert again.stdout == done.stdout
    assert "as kept" in again.stderr and "as kept" not in done.stderr
    assert "claims hold, over 12 cases (s)" in headrace(*command).stdout
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found["claims"]) == 6 and len(found["rows"]) == 2 * 2 * 3 * 12
    never = next(row for row in found["policies"] if row["policy"] == "never")
    assert never["mean"] > 1.2
    with pytest.raises(Exception, match="no stream of classes"):
        list(bills(Plan(tmp_path, rows=1_000), lambda line: None))
