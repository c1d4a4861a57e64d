"""Who takes part: the product's pool, the baselines, and the peers of River and CapyMOA.

Peers run on their library's defaults, and again on what their authors recommend where that differs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from shared.bench.course import Learner
from shared.bench.headrace_learner import HeadraceLearner, make_ready
from shared.bench.plain import Constant, NoChange
from shared.bench.streams import Stream
from shared.errors import UsageError

# (stream, seed) -> what makes the learner; whatever is prepared before is not on the bill
Prepare = Callable[[Stream, int], Callable[[], Learner]]

OURS = "headrace"
DEFAULTS, AUTHORS = "defaults", "authors'"
ALWAYS = ("baselines", "arf", "srp", "levbag", "amf", "linear")
OPTIONAL = "capymoa"
_CAPYMOA = (("ARF", DEFAULTS, 10), ("ARF", AUTHORS, 100))


@dataclass(frozen=True, slots=True)
class Contestant:
    """`model` is its name; `family` what `--peers` calls it. `seeded`: another seed, another result."""

    model: str
    family: str
    settings: str
    prepare: Prepare
    seeded: bool = True
    block: int = 1


def contestants(stream: Stream, families: Sequence[str] = ()) -> list[Contestant]:
    """Who runs on `stream`, ours first. `families` empty: all of River's, and CapyMOA if it is there.

    Raises:
        UsageError: there is no such family, or CapyMOA is asked for and not installed.
    """
    there = find_spec("capymoa") is not None
    if unknown := [name for name in families if name not in (*ALWAYS, OPTIONAL)]:
        raise UsageError(
            f"--peers {', '.join(unknown)}: the peers are {', '.join((*ALWAYS, OPTIONAL))}."
        )
    if OPTIONAL in families and not there:
        raise UsageError(
            "--peers capymoa: CapyMOA is not installed here. It needs Java; "
            "`pip install capymoa` in this environment, or leave it out."
        )
    wanted = families or (ALWAYS + ((OPTIONAL,) if there else ()))
    peers = _regressors() if stream.regression else _classifiers(len(stream.classes))
    return [*_ours(), *(peer for peer in peers if peer.family in wanted)]


def _ours() -> Iterator[Contestant]:
    yield Contestant(OURS, OURS, DEFAULTS, _headrace)
    yield Contestant(f"{OURS}-256", OURS, "256 events a call", _headrace, block=256)
    yield Contestant(f"{OURS}-anchors", OURS, "with retrained anchors", _anchored)


def _headrace(stream: Stream, seed: int) -> Callable[[], Learner]:
    make_ready(stream)
    return partial(HeadraceLearner, stream, seed)


def _anchored(stream: Stream, seed: int) -> Callable[[], Learner]:
    from shared.bench.anchored_learner import prepared  # scikit-learn takes a second to import

    return prepared(stream, seed)


def _baselines(constant: str) -> Iterator[Contestant]:
    yield Contestant(
        constant, "baselines", DEFAULTS, lambda stream, _: partial(Constant, stream), seeded=False
    )
    yield Contestant(
        "no-change",
        "baselines",
        DEFAULTS,
        lambda stream, _: partial(NoChange, stream),
        seeded=False,
    )


def _classifiers(n_classes: int) -> Iterator[Contestant]:
    yield from _baselines("majority")
    yield _river("arf-10", "arf", DEFAULTS, "forest.ARFClassifier")
    yield _river("arf-100", "arf", AUTHORS, "forest.ARFClassifier", n_models=100)
    yield _river("srp-10", "srp", DEFAULTS, "ensemble.SRPClassifier")
    yield _river("srp-100", "srp", AUTHORS, "ensemble.SRPClassifier", n_models=100)
    yield _river("levbag-10", "levbag", DEFAULTS, "ensemble.LeveragingBaggingClassifier")
    yield _river("amf-10", "amf", DEFAULTS, "forest.AMFClassifier")
    if n_classes > 2:  # Mourtada et al. 2021 and their code: .5 for two classes, .01 for more
        yield _river("amf-10", "amf", AUTHORS, "forest.AMFClassifier", dirichlet=0.01)
        yield _river("softmax", "linear", DEFAULTS, "linear_model.SoftmaxRegression", seeded=False)
    else:
        name = "linear_model.LogisticRegression"
        yield _river("logistic", "linear", DEFAULTS, name, seeded=False)
        yield _river("logistic", "linear", AUTHORS, name, seeded=False, step=0.1)
    yield from _capymoa_all((*_CAPYMOA, ("SRP", DEFAULTS, 10), ("LB", DEFAULTS, 10)))


def _regressors() -> Iterator[Contestant]:
    yield from _baselines("mean")
    yield _river("arf-10", "arf", DEFAULTS, "forest.ARFRegressor")
    yield _river("arf-100", "arf", AUTHORS, "forest.ARFRegressor", n_models=100)
    yield _river("srp-10", "srp", DEFAULTS, "ensemble.SRPRegressor")
    yield _river("amf-10", "amf", DEFAULTS, "forest.AMFRegressor")
    name = "linear_model.LinearRegression"
    yield _river("linear", "linear", DEFAULTS, name, seeded=False)
    yield _river("linear", "linear", AUTHORS, name, seeded=False, intercept_lr=0.1)
    yield from _capymoa_all((*_CAPYMOA, ("SOKNL", DEFAULTS, 10)))


def _river(
    model: str, family: str, settings: str, path: str, seeded: bool = True, **arguments: Any
) -> Contestant:
    def prepare(stream: Stream, seed: int) -> Callable[[], Learner]:
        from shared.bench.river_learner import prepared  # seconds to import

        return prepared(path, stream, {**arguments, "seed": seed} if seeded else arguments)

    return Contestant(f"river-{model}", family, settings, prepare, seeded)


def _capymoa_all(rows: Iterable[tuple[str, str, int]]) -> Iterator[Contestant]:
    """One a row: model, settings, members."""
    for model, settings, n_models in rows:
        yield _capymoa(model, settings, n_models)


def _capymoa(model: str, settings: str, n_models: int) -> Contestant:
    def prepare(stream: Stream, seed: int) -> Callable[[], Learner]:
        from shared.bench.capymoa_learner import prepared  # starts a Java machine

        return prepared(model, n_models, stream, seed)

    return Contestant(f"capymoa-{model.lower()}-{n_models}", OPTIONAL, settings, prepare)
