"""The problem file's section on the search for a better candidate, and what may be searched.

Every setting has a short list of values, in order, so a family's space is a finite lattice: all
methods walk the same points, and a point is never tried twice.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from shared.problem.inputs import Part
from shared.problem.mistakes import Mistake, Path, nearest

Setting = bool | int | float | str
"""One value of one setting."""
Space = Mapping[str, tuple[Setting, ...]]
"""The settings of a family by the estimator's own names, each with its values."""

_STRENGTH = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_FAMILIES: Mapping[str, Space] = {
    "logistic": {"strength": _STRENGTH},
    "ridge": {"strength": _STRENGTH},
    "tree": {"max_leaf_nodes": (8, 16, 32, 64, 128), "min_samples_leaf": (5, 10, 20, 50, 100)},
    "forest": {
        "n_estimators": (20, 40, 80),
        "max_features": (0.2, 0.35, 0.5, 0.75, 1.0),
        "min_samples_leaf": (1, 2, 5, 10, 20),
    },
    "boosting": {
        "max_iter": (20, 40, 80, 160),
        "learning_rate": (0.03, 0.06, 0.1, 0.15, 0.25),
        "max_leaf_nodes": (6, 12, 24, 48),
        "l2_regularization": (0.0, 1.0, 10.0),
    },
    "svm": {"strength": _STRENGTH, "gamma": (0.003, 0.01, 0.03, 0.1, 0.3)},
    "neural_net": {
        "width": (8, 16, 32, 64),
        "alpha": (1e-4, 1e-3, 1e-2, 1e-1),
        "learning_rate_init": (0.001, 0.003, 0.01),
    },
    "neighbours": {"n_neighbors": (5, 10, 20, 40, 80, 160)},
    "naive_bayes": {"var_smoothing": (1e-9, 1e-6, 1e-4, 1e-2, 1e-1)},
}
ON_VIEW = "view-"
"""Before a family's name: it is given the view of the events (docs/LEARNING.md), not their features."""
FAMILIES = {**_FAMILIES, **{f"{ON_VIEW}{name}": space for name, space in _FAMILIES.items()}}
"""The names in `retraining.candidates`, and what a search may set of each."""
ONLY_CLASSES = frozenset({"naive_bayes", f"{ON_VIEW}naive_bayes"})
"""Families that cannot predict numbers."""


class SearchSpec(Part):
    """First every family of `candidates` at its defaults, then, with the trials that are left of
    `budget.trials`, other settings.

    grid: the points of all lattices in turn. random: the same in random order. bayesian: Optuna's TPE
    (needs `headrace[hpo]`). halving: many points on few rows, the best third on three times as many,
    the best of those on all (successive halving).
    """

    method: Literal["grid", "random", "bayesian", "halving"] = "halving"
    folds: int = Field(3, ge=1, le=10)
    """Validation blocks, each later than what was fitted on and labelled before it (rolling origin)."""
    space: dict[str, dict[str, list[Setting]]] = Field({})
    """Other values than the usual ones, by family and setting; an empty list leaves a setting alone."""

    def lattice(self, family: str) -> Space:
        """What may be set of `family`; settings without values are left at their default."""
        mine = {name: tuple(values) for name, values in self.space.get(family, {}).items()}
        space = {**FAMILIES.get(family, {}), **mine}
        return {name: values for name, values in space.items() if values}


def search_mistakes(
    candidates: list[str], search: SearchSpec | None, regression: bool
) -> Iterator[Mistake]:
    """Families and settings that do not exist."""
    allowed = [name for name in FAMILIES if not (regression and name in ONLY_CLASSES)]
    for index, name in enumerate(candidates):
        path: Path = ("retraining", "candidates", index)
        if name not in FAMILIES:
            yield Mistake(path, f"there is no candidate `{name}`", nearest(name, allowed))
        elif name not in allowed:
            yield Mistake(path, f"`{name}` predicts classes, not numbers", nearest("", allowed))
    for family, settings in (search.space if search else {}).items():
        path = ("retraining", "search", "space", family)
        if family not in candidates:
            wrong = f"`{family}` is not among `retraining.candidates`"
            yield Mistake(path, wrong, nearest(family, candidates), key=True)
            continue
        known = list(FAMILIES.get(family, {}))
        for name in settings:
            if name not in known:
                wrong = f"`{family}` has no setting `{name}` to search"
                yield Mistake((*path, name), wrong, nearest(name, known), key=True)
