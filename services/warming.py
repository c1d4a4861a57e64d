"""Compiled code: where it is missing, one process compiles, and answers need not wait for all of it."""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread, Timer
from typing import IO

import numpy as np

from shared.models.port import Task
from shared.problem.spec import Problem
from shared.runtime.clock import elapsed_s

PATIENCE_S = 4.0
"""Longer than the cache takes to load; a compiler takes longer."""
COMPILING = (
    "Compiling for this machine, about a minute; live events are answered meanwhile, until the first "
    "label. Later starts take it from the cache (NUMBA_CACHE_DIR)."
)
_ASK_S = 0.1


@contextmanager
def warming(
    problem: Problem, say: Callable[[str], None], stop: Event, beside: bool
) -> Iterator[None]:
    """Compile what the problem's pool needs, or load what was compiled before.

    `beside`: what answers need until the first label comes, then the rest while the body runs, in a
    thread; whoever needs a kernel before its turn waits for the one that is being compiled, and then
    compiles it himself. Else all before the body, or until `stop`. Left early, it ends with the kernel
    that it is at.
    """
    left = Event()

    def work(until: Event) -> None:
        with explained(say):
            warm_up(problem.task, problem.model.experts, until)

    if not beside:
        work(stop)
        yield
        return
    with alone("answers", stop):
        warm_answers(problem.task)
    thread = Thread(target=work, args=(left,), name="warming")
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()


def warm_answers(task: Task) -> None:
    """What `headrace run` needs until a label comes: a fresh pool asks no expert, and little else is
    compiled code.
    """
    from shared.drift.ranks import Ranks
    from shared.drift.rates import Rates
    from shared.drift.source import Constancy
    from shared.drift.together import Together
    from shared.evaluation.linear import Linear
    from shared.features.profile.block import Block
    from shared.models.pool import Pool

    Pool(task, 2).predict_many(np.zeros((1, 2)))
    row, rates = np.zeros(1), Rates(1)
    Together(Constancy(1), rates, Ranks(1)).update(row)
    rates.update(row)
    rates.zeros(1)
    Linear(1, 1, logistic=True).predict(row)
    Block(["x", "y"]).add(np.zeros((1, 2)))


def warm_up(task: Task, experts: Sequence[str], stop: Event) -> None:
    """As far as `stop` allows; of processes that share a cache one compiles, the others then load."""
    from shared.features.profile.block import warm_block
    from shared.models.warm import warm_steps  # who folds with no model needs none

    with alone("all", stop):
        for step in (*warm_steps(task, experts=experts), warm_block):
            if stop.is_set():
                return
            step()


def everything() -> None:
    """All that `headrace run` compiles: pools of both kinds, training, detectors, baselines."""
    from shared.evaluation.baselines import replayed
    from shared.evaluation.linear import Linear
    from shared.features.profile.block import warm_block
    from shared.models.warm import warm

    with alone("all", Event()):
        warm_answers("binary")
        warm_block()
        warm("binary")
        warm("regression")
        row, none = np.zeros(1), np.zeros(1, np.int64)
        Linear(1, 1, logistic=True).learn(row, row)
        replayed(np.zeros((1, 1)), row, none, none)


@contextmanager
def alone(what: str, stop: Event) -> Iterator[None]:
    """While no other process of the same cache is at `what`, or `stop` is set; who dies leaves it."""
    from shared.models.warm import cache_folder

    place = cache_folder() / f"{what}.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w") as file:
        while not _taken(file) and not stop.wait(_ASK_S):
            pass
        yield


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def explained(say: Callable[[str], None], patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Say why one waits, once that is longer than `patience_s`, and then how long it was."""
    began = elapsed_s()
    timer = Timer(patience_s, say, (COMPILING,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    took_s = elapsed_s() - began
    if took_s > patience_s:
        say(f"Warm after {took_s:.0f} s.")


if __name__ == "__main__":
    everything()
