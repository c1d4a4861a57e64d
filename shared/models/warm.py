"""Compile every kernel a task needs, so that the first event does not wait for the compiler."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from shared.models.codec import from_bytes, to_bytes
from shared.models.logit_mix import learn_block
from shared.models.pool import Pool
from shared.models.port import Task
from shared.models.prequential import compile_walk
from shared.models.table import default_experts
from shared.models.trees_anchor import compile_traversal


def cache_folder() -> Path:
    """Where numba keeps what it compiled: in NUMBA_CACHE_DIR, or beside the sources."""
    return Path(str(learn_block.stats.cache_path))


def warm_steps(
    task: Task, n_features: int = 2, experts: Sequence[str] = ()
) -> Iterator[Callable[[], None]]:
    """Compile a pool's kernels, or load them from numba's cache, one family of experts a step."""
    for name in experts or default_experts(task):
        yield partial(_exercise, task, n_features, name)


def _exercise(task: Task, n_features: int, expert: str) -> None:
    """Shapes do not matter, types do."""
    pool = Pool(task, n_features, 2, experts=(expert,))
    x = np.random.default_rng(0).normal(size=(3, n_features))
    y = np.array([0, 1, 0])
    for n in (
        3,
        3,
        1,
    ):  # the first finds a fresh pool; a single row is another type, always contiguous
        scored = pool.predict_many(x[:n])
        members = {version: verdict.members for version, verdict in scored.by_version.items()}
        pool.learn_many(x[:n], y[:n], scored.said, members, scored.arrival, scored.layout)
    from_bytes(to_bytes(pool))


def warm(task: Task, n_features: int = 2, experts: Sequence[str] = ()) -> None:
    """The pool's kernels, and those of anchors and training."""
    for step in warm_steps(task, n_features, experts):
        step()
    compile_traversal()
    compile_walk(task)  # for training, which finds it in the cache
