"""Compiled code before the first event: whoever waits for it is told so, and when it is there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

from shared.problem.spec import Problem
from shared.runtime.clock import elapsed_s

PATIENCE_S = 4.0
"""Longer than the cache takes to load; a compiler takes longer."""
COMPILING = (
    "Compiling for this machine: the first events wait about a minute. Later starts take it from the "
    "cache (NUMBA_CACHE_DIR)."
)


def make_warm(problem: Problem, say: Callable[[str], None]) -> None:
    """Compile what the problem's pool needs, or load what was compiled before."""
    from shared.features.profile.block import warm_block
    from shared.models.warm import warm_pool  # a process that folds with no model needs none of it

    with explained(say):
        warm_pool(problem.task, experts=problem.model.experts)
        warm_block()


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
