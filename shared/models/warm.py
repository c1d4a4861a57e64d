"""Compile every kernel a task needs, so that the first event does not wait for the compiler."""

import hashlib
from collections.abc import Sequence
from importlib import resources

import numpy as np

from shared.models.codec import from_bytes, to_bytes
from shared.models.pool import Pool
from shared.models.port import Task
from shared.models.prequential import compile_walk
from shared.models.trees_anchor import compile_traversal


def kernels_digest() -> str:
    """A name for numba's cache directory: a digest of every source of this package.

    Numba's own cache knows a kernel by its file alone: it would serve a stale one after a change to a
    kernel that it calls from another file.
    """
    digest = hashlib.sha256()
    sources = [f for f in resources.files("shared.models").iterdir() if f.name.endswith(".py")]
    for source in sorted(sources, key=lambda f: f.name):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def warm_pool(task: Task, n_features: int = 2, experts: Sequence[str] = ()) -> None:
    """Compile a pool's kernels, or load them from numba's cache; shapes do not matter, types do."""
    pool = Pool(task, n_features, 2, experts=experts)
    x = np.random.default_rng(0).normal(size=(3, n_features))
    y = np.array([0, 1, 0])
    for n in (3, 1):  # a single row is contiguous however it was cut: another type
        scored = pool.predict_many(x[:n])
        members = {version: verdict.members for version, verdict in scored.by_version.items()}
        pool.learn_many(x[:n], y[:n], scored.said, members, scored.arrival, scored.layout)
    from_bytes(to_bytes(pool))


def warm(task: Task, n_features: int = 2, experts: Sequence[str] = ()) -> None:
    """The pool's kernels, and those of anchors and training."""
    warm_pool(task, n_features, experts)
    compile_traversal()
    compile_walk(task)  # for training, which finds it in the cache


if __name__ == "__main__":
    for each in ("binary", "regression"):
        warm(each)
