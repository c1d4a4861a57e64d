"""Search methods on a known landscape, and whole jobs with a search."""

from collections.abc import Mapping
from itertools import pairwise
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.trainer import trials
from services.trainer.dataset import rolling
from services.trainer.fit import fit
from services.trainer.journal import Directory
from services.trainer.search import ETA, METHODS, Ask, asks, drive, lattice
from shared.models.candidates import CANDIDATES
from shared.problem.search import FAMILIES, ON_VIEW, ONLY_CLASSES, SearchSpec, Setting
from tests.unit.trainer import world

SPACE: dict[str, dict[str, list[Setting]]] = {
    "logistic": {"strength": [0.1, 1.0, 10.0]},
    "boosting": {"max_iter": [5, 10, 20, 40], "max_leaf_nodes": [3, 6, 12], "learning_rate": [],
                 "l2_regularization": []},
}  # fmt: skip
NAMES = ["logistic", "boosting"]


def walked(method: Any, n: int, seed: int = 1, loss: Any = None) -> list[tuple[Ask, float]]:
    """Asks with the losses they were told: the more leaves and trees the better."""

    def told(ask: Ask) -> float:
        known = dict(ask.setup.settings)
        return -float(known.get("max_iter", 0)) - float(known.get("max_leaf_nodes", 0)) / 10

    spec = SearchSpec(method=method, space=SPACE)
    done = drive(
        asks(NAMES, spec, n, seed), lambda ask: SimpleNamespace(ask=ask, score=(loss or told)(ask))
    )
    return [(row.ask, row.score) for row in done]


@given(method=st.sampled_from(sorted(METHODS)), n=st.integers(1, 24), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_every_method_keeps_to_the_budget_and_to_the_lattice(
    method: str, n: int, seed: int
) -> None:
    tried = [ask for ask, _ in walked(method, n, seed)]
    spec = SearchSpec(space=SPACE)
    points = {setup for name in NAMES for setup in lattice(name, spec.lattice(name))}
    assert len(tried) <= n
    assert [ask.setup.name for ask in tried[:2]] == NAMES[:n], "defaults first"
    assert {ask.setup for ask in tried[2:]} <= points
    assert len(set(tried)) == len(tried), "nothing is tried twice"
    assert tried == [ask for ask, _ in walked(method, n, seed)], "the same seed, the same walk"


@pytest.mark.parametrize("method", ["grid", "random"])
def test_with_enough_trials_every_point_is_tried(method: str) -> None:
    assert len(walked(method, 2 + 15 + 20)) == 2 + 15


@pytest.mark.parametrize("method", sorted(METHODS))
def test_what_cannot_be_fitted_ends_no_search_and_no_search_is_endless(method: str) -> None:
    assert 2 < len(walked(method, 60, loss=lambda ask: inf)) <= 2 + 15


@pytest.mark.slow
def test_bayesian_finds_the_good_corner_sooner_than_random() -> None:
    spec = SearchSpec(method="bayesian")
    best = {}
    for method in ("bayesian", "random"):
        spec = SearchSpec(method=method)
        best[method] = [
            min(row.score for row in drive(asks(["boosting"], spec, 60, seed), _far))
            for seed in range(4)
        ]
    assert np.mean(best["bayesian"]) < np.mean(best["random"])


def _far(ask: Ask) -> Any:
    """The distance in the lattice from one corner of boosting's space."""
    space = FAMILIES["boosting"]
    known = dict(ask.setup.settings)
    far = sum(space[name].index(value) for name, value in known.items()) if known else 99
    return SimpleNamespace(score=float(far))


def test_halving_gives_rows_to_the_best_third() -> None:
    rows = walked("halving", 2 + 22)[2:]
    by_share: dict[float, list[tuple[Ask, float]]] = {}
    for ask, loss in rows:
        by_share.setdefault(round(ask.share, 6), []).append((ask, loss))
    shares = sorted(by_share)
    assert shares == pytest.approx([1 / 9, 1 / 3, 1])
    for few, many in pairwise(shares):
        ranked = sorted(by_share[few], key=lambda row: row[1])[: len(by_share[few]) // ETA]
        assert {ask.setup for ask, _ in ranked} == {ask.setup for ask, _ in by_share[many]}
    assert min(rows, key=lambda row: row[1])[0].setup in {ask.setup for ask, _ in by_share[1.0]}
    assert all(ask.share == 1 for ask, _ in walked("halving", 5))


@given(
    n=st.integers(20, 200),
    folds=st.integers(1, 6),
    delay=st.integers(0, 15),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_no_fold_trains_on_a_label_that_was_not_known(
    n: int, folds: int, delay: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    at = np.arange(n, dtype=np.float64)
    known_at = at + rng.integers(0, delay + 1, n)
    plans = rolling(at, known_at, np.arange(n), folds)
    held = np.concatenate([plan.held for plan in plans])
    assert held.tolist() == list(range(int(held[0]), n)), (
        "one block behind the other, up to the end"
    )
    for plan in plans:
        first = at[plan.held[0]]
        slow = [i for i in range(n) if at[i] < first and known_at[i] <= first]
        assert plan.train.tolist() == slow
        everyone = [*plan.train, *plan.embargo, *plan.held]
        assert sorted(everyone) == list(range(int(plan.held[-1]) + 1))


def test_the_table_names_what_the_estimators_take() -> None:
    assert list(FAMILIES) == list(CANDIDATES)
    for family, space in FAMILIES.items():
        for regression in (False, True):
            if regression and family in ONLY_CLASSES:
                continue
            for ends in (0, -1):
                chosen = {name: values[ends] for name, values in space.items()}
                made = CANDIDATES[family].make(regression, 1, 1 if regression else 12, **chosen)
                assert hasattr(made, "fit")
                assert made.get_params() != CANDIDATES[family].make(regression, 1, 2).get_params()


def _spec(method: str, n: int = 10, **more: Any) -> Any:
    search = {"method": method, "folds": 2, "space": SPACE}
    return world.problem(
        retraining={"candidates": NAMES, "search": search, "budget": {"trials": n}, **more}
    )


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_job_with_a_search_chooses_the_best_of_all_that_saw_all_rows(method: str) -> None:
    result = fit(world.request(world.outcomes(900), _spec(method)))
    assert result.state == "accepted", result.reason
    tried = [entry for entry in result.board["entries"] if entry["role"] == "candidate"]
    assert 2 < len(tried) <= 10
    whole = [e for e in tried if "a first look" not in e["reason"]]
    assert result.board["chosen"] == min(whole, key=lambda e: e["joined_loss"])["name"]
    assert ("a first look" in str(tried)) == (method == "halving")
    n = len(range(result.board["rows"]["train"]))
    assert {e["n"] for e in tried} == {2 * round(n / 5)}, "two folds of a fifth"


class _Broken(Directory):
    """Breaks off after so many trials, as a killed process does."""

    def __init__(self, path: Path, after: int) -> None:
        super().__init__(path)
        self.after = after

    def put(self, key: str, trial: bytes) -> None:
        super().put(key, trial)
        self.after -= 1
        if self.after == 0:
            raise InterruptedError


@pytest.mark.slow
@pytest.mark.parametrize("method", ["halving", "bayesian"])
def test_a_search_that_was_broken_off_goes_on_to_the_same_bytes(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = world.request(world.outcomes(600), _spec(method))
    undisturbed = msgspec.msgpack.encode(fit(request))
    with pytest.raises(InterruptedError):
        fit(request, _Broken(tmp_path, 4))
    (damaged, *_) = sorted(tmp_path.iterdir())
    damaged.write_bytes(b"half a file")
    tried: list[str] = []
    plain = trials.try_out
    monkeypatch.setattr(
        "services.trainer.fit.try_out",
        lambda ask, *rest: tried.append(ask.setup.name) or plain(ask, *rest),
    )
    assert msgspec.msgpack.encode(fit(request, Directory(tmp_path))) == undisturbed
    entries = msgspec.msgpack.decode(undisturbed)["board"]["entries"]
    assert len(tried) == sum(e["role"] == "candidate" for e in entries) - 3


def test_without_optuna_the_job_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    modules: Mapping[str, Any] = {"optuna": None}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    result = fit(world.request(world.outcomes(300), _spec("bayesian")))
    assert result.state == "failed"
    assert "pip install 'headrace[hpo]'" in result.reason


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_every_family_can_be_fitted_served_and_exported(task: str) -> None:
    from services.trainer.dataset import Shape
    from services.trainer.search import Setup
    from shared.registry.estimator import estimator_from_bytes, estimator_to_bytes

    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    truth = x[:, 0] * x[:, 1]
    y = truth if task == "regression" else (truth > 0).astype(np.int64)
    shape = Shape(("a", "b", "c"), () if task == "regression" else (0, 1), 1, 1)
    for family in (
        *(name for name in CANDIDATES if not name.startswith(ON_VIEW)),
        "view-logistic",
    ):
        if task == "regression" and family in ONLY_CLASSES:
            with pytest.raises(trials.Unfit, match="classes, not numbers"):
                trials.fitted(Setup(family), 1, x, y, shape)
            continue
        first, second = (trials.fitted(Setup(family), 1, x, y, shape) for _ in range(2))
        anchor, again = (trials.served(Setup(family), one, x, shape) for one in (first, second))
        assert anchor.snapshot().keys() == again.snapshot().keys()
        for name, array in again.snapshot().items():
            np.testing.assert_array_equal(array, anchor.snapshot()[name], err_msg=family)
        data = estimator_to_bytes(first)
        assert data == estimator_to_bytes(second), family
        exported = trials.library_answers(estimator_from_bytes(data), x, shape).mean
        np.testing.assert_allclose(exported, anchor.predict_many(x), atol=1e-6)
