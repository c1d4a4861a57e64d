"""Which settings to try next: grid, random, Bayesian, successive halving, behind one port.

A method is a generator: it yields an `Ask` and is sent the loss (smaller is better; infinite: it could
not be fitted). It knows nothing of data, and its choices depend on the seed and the losses alone.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import product, zip_longest
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np

from shared.problem.search import SearchSpec, Setting, Space

ETA = 3
"""Successive halving keeps one in `ETA` and gives it `ETA` times the rows."""
STARTUP = 10
"""Points that TPE draws at random before it models."""


class Setup(NamedTuple):
    """A family with its settings; none: its defaults."""

    family: str
    settings: tuple[tuple[str, Setting], ...] = ()

    @property
    def name(self) -> str:
        """As it stands on the board."""
        told = ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
                         for name, value in self.settings)  # fmt: skip
        return f"{self.family} ({told})" if told else self.family


class Ask(NamedTuple):
    """Try `setup` on the newest `share` of the rows that may be fitted."""

    setup: Setup
    share: float = 1.0


Asks = Generator[Ask, float, None]


class HasScore(Protocol):
    """A result: its `score` is the loss."""

    @property
    def score(self) -> float:
        """Smaller is better; infinite: it could not be fitted."""
        ...


Scored = TypeVar("Scored", bound=HasScore)
Method = Callable[[Mapping[str, Space], int, int], Asks]
"""From families with their lattices, the number of trials that are left, and a seed."""


def asks(candidates: Sequence[str], search: SearchSpec | None, trials: int, seed: int) -> Asks:
    """Every family at its defaults, then the method's points; at most `trials` in all."""
    for family in candidates[:trials]:
        yield Ask(Setup(family))
    left = trials - len(candidates)
    if search is None or left <= 0:
        return
    spaces = {family: search.lattice(family) for family in candidates}
    spaces = {family: space for family, space in spaces.items() if space}
    if spaces:
        yield from _counted(METHODS[search.method](spaces, left, seed), left)


def drive(walk: Asks, evaluate: Callable[[Ask], Scored]) -> list[Scored]:
    """Try what `walk` asks for until it has enough; all results, in that order."""
    done: list[Scored] = []
    try:
        ask = next(walk)
        while True:
            done.append(evaluate(ask))
            ask = walk.send(done[-1].score)
    except StopIteration:
        return done


def _counted(method: Asks, left: int) -> Asks:
    """At most `left` of the method's trials."""
    try:
        ask = next(method)
        while left > 0:
            loss = yield ask
            left -= 1
            ask = method.send(loss)
    except StopIteration:
        return


def lattice(family: str, space: Space) -> list[Setup]:
    """All points of one family, the first setting changing slowest."""
    return [
        Setup(family, tuple(zip(space, values, strict=True)))
        for values in product(*space.values())
    ]


def grid(spaces: Mapping[str, Space], trials: int, seed: int) -> Asks:
    """Point by point, the families in turn."""
    points = [lattice(family, space) for family, space in spaces.items()]
    for turn in zip_longest(*points):
        for setup in turn:
            if setup is not None:
                yield Ask(setup)


def random(spaces: Mapping[str, Space], trials: int, seed: int) -> Asks:
    """The families in turn, each point once, in random order (Bergstra and Bengio, JMLR 2012)."""
    for setup in _shuffled(spaces, seed):
        yield Ask(setup)


def halving(spaces: Mapping[str, Space], trials: int, seed: int) -> Asks:
    """Rounds on 1/9, 1/3 and all rows, the best third of each goes on (Jamieson and Talwalkar 2016).

    With too few trials for that it starts at 1/3, or at all rows. As many points are drawn as all
    rounds together may cost.
    """
    rounds = next(r for r in (3, 2, 1) if r == 1 or trials >= sum(ETA**i for i in range(r)))
    cost = sum(ETA**-i for i in range(rounds))
    setups = list(_shuffled(spaces, seed))[: max(1, int(trials / cost))]
    for i in range(rounds):
        losses = []
        for setup in setups:
            losses.append((yield Ask(setup, float(ETA) ** (i + 1 - rounds))))
        best = np.argsort(losses, kind="stable")[: max(1, len(setups) // ETA)]
        setups = [setups[j] for j in best if np.isfinite(losses[j])]


def bayesian(spaces: Mapping[str, Space], trials: int, seed: int) -> Asks:
    """The tree-structured Parzen estimator of Optuna (Bergstra et al., NeurIPS 2011).

    A point that was tried is not tried again: TPE is told its loss once more.

    Raises:
        ImportError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            "retraining.search.method: bayesian needs Optuna: pip install 'headrace[hpo]', "
            "or write halving"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    study = optuna.create_study(sampler=sampler)
    known: dict[Setup, float] = {}
    repeats, size = 0, sum(len(lattice(*item)) for item in spaces.items())
    while len(known) < size and repeats < trials:
        trial = study.ask()
        setup = _suggested(trial, spaces)
        if setup in known:
            repeats += 1
        else:
            known[setup] = yield Ask(setup)
        if np.isfinite(known[setup]):
            study.tell(trial, known[setup])
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _suggested(trial: Any, spaces: Mapping[str, Space]) -> Setup:
    """A point of the lattice; settings are places in their lists, so that TPE sees their order."""
    family = trial.suggest_categorical("family", list(spaces))
    return Setup(family, tuple(
        (name, values[trial.suggest_int(f"{family}.{name}", 0, len(values) - 1)])
        for name, values in spaces[family].items()
    ))  # fmt: skip


def _shuffled(spaces: Mapping[str, Space], seed: int) -> Generator[Setup, None, None]:
    rng = np.random.default_rng(seed)
    points = [lattice(family, space) for family, space in spaces.items()]
    orders = [rng.permutation(len(p)) for p in points]
    for turn in zip_longest(*orders):
        for family, place in zip(points, turn, strict=True):
            if place is not None:
                yield family[int(place)]


METHODS: Mapping[Literal["grid", "random", "bayesian", "halving"], Method] = {
    "grid": grid,
    "random": random,
    "bayesian": bayesian,
    "halving": halving,
}
"""By the names in the problem file (`retraining.search.method`)."""
