"""Compiled code: where it is missing, one process compiles, and answers need not wait for all of it."""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread, Timer
from typing import IO

import numpy as np

from shared.models.port import Task
from shared.problem.spec import Problem
from shared.runtime.clock import elapsed_s

PATIENCE_S = 4.0
"""Longer than the cache takes to load; a compiler takes longer."""
COMPILING = (
    "Compiling for this machine, about a minute: events are answered, by a model that learns when it "
    "is done. Later starts take it from the cache (NUMBA_CACHE_DIR)."
)
_ASK_S = 0.1
LOCK = "headrace.lock"


@contextmanager
def warming(problem: Problem, say: Callable[[str], None], beside: bool) -> Iterator[None]:
    """Compile what the problem's pool needs, or load what was compiled before.

    `beside`: while the body runs, in a thread; whoever needs a kernel before its turn waits for the
    one that is being compiled, and then compiles it himself. Else before it. Left early, it ends with
    the kernels that it is at.
    """
    stop = Event()
    if not beside:
        with explained(say):
            warm_up(problem.task, problem.model.experts, stop)
        yield
        return

    def work() -> None:
        with explained(say):
            warm_up(problem.task, problem.model.experts, stop)

    thread = Thread(target=work, name="warming")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def warm_up(task: Task, experts: Sequence[str], stop: Event) -> None:
    """As far as `stop` allows; of processes that share a cache one compiles, the others then load."""
    from shared.features.profile.block import warm_block
    from shared.models.warm import cache_folder, warm_steps  # who folds with no model needs none

    with _alone(cache_folder() / LOCK, stop):
        for step in (*warm_steps(task, experts=experts), warm_block):
            if stop.is_set():
                return
            step()


def everything() -> None:
    """All that `headrace run` compiles: pools of both kinds, training, detectors, baselines."""
    from shared.drift.ranks import Ranks
    from shared.drift.rates import Rates
    from shared.drift.source import Constancy
    from shared.drift.together import Together
    from shared.evaluation.baselines import replayed
    from shared.evaluation.linear import Linear
    from shared.features.profile.block import warm_block
    from shared.models.warm import cache_folder, warm

    with _alone(cache_folder() / LOCK, Event()):
        warm("binary")
        warm("regression")
        warm_block()
        row, none = np.zeros(1), np.zeros(1, np.int64)
        Together(Constancy(1), Rates(1), Ranks(1)).update(row)
        Rates(1).zeros(1)
        Linear(1, 1, logistic=True).learn(row, row)
        replayed(np.zeros((1, 1)), row, none, none)


@contextmanager
def _alone(place: Path, stop: Event) -> Iterator[None]:
    """While no other process is in here; a process that dies leaves it."""
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
