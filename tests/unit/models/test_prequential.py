"""The compiled walk against the obvious loop over a stacker; rounding against numpy's float16."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.models.prequential import halved, walk
from shared.models.stacker import Stacker

ROWS = 150


@settings(deadline=None)
@given(st.floats(0, 60_000) | st.floats(0, 1) | st.floats(0, 1e-4))
def test_rounded_as_float16_does(value: float) -> None:
    assert halved(value) == float(np.float16(value))


@settings(max_examples=12, deadline=None)
@given(
    task=st.sampled_from(["binary", "multiclass", "regression"]),
    delays=st.lists(st.integers(1, 30), min_size=ROWS, max_size=ROWS),
    fork=st.integers(0, ROWS),
)
def test_the_walk_is_the_loop(task: str, delays: list[int], fork: int) -> None:
    k = {"binary": 2, "multiclass": 4, "regression": 1}[task]
    r = np.random.default_rng(fork)
    said = r.dirichlet(np.ones(k), (ROWS, 5)) if k > 1 else r.normal(size=(ROWS, 5, 1))
    said = said.astype(np.float16).astype(np.float32)
    y = r.integers(0, k, ROWS) if k > 1 else r.normal(size=ROWS)
    came = np.arange(ROWS) + np.array(delays)
    order = np.argsort(came, kind="stable")
    due = np.searchsorted(came[order], np.arange(ROWS), side="right")
    due = np.append(due, due[-1])

    def make() -> Stacker:
        return Stacker(task, [f"e{i}" for i in range(5)], k)  # type: ignore[arg-type]

    slow, told, means, done = make(), [], [], 0
    for i in range(ROWS):
        for j in order[done : due[i]]:
            slow.learn_many(said[j : j + 1], told[j], y[j : j + 1])
        done = due[i]
        if i == fork:
            slow = slow.fork([f"e{e}" for e in range(5)])
        verdict = slow.predict_many(said[i : i + 1])
        told.append(verdict.members)
        means.append(verdict.mean[0])

    members, mean = np.zeros((ROWS, told[0].shape[1], k), np.float32), np.zeros((ROWS, k))
    fast = make()
    walk(fast, said, y, order, due, 0, fork, members, mean)
    child = fast.fork([f"e{e}" for e in range(5)])
    walk(child, said, y, order, due, fork, ROWS, members, mean)
    assert mean == pytest.approx(np.array(means), rel=1e-9, abs=1e-12)
    assert (members == np.concatenate(told)).mean() > 0.999  # sums may be reordered when inlined


def test_a_stacker_without_a_compiled_walk_is_named() -> None:
    stacker = Stacker("binary", ["e"], 2)
    stacker._mixer = object()  # type: ignore[assignment]
    nothing = np.zeros((0, 1, 2), np.float32)
    none = np.zeros(0, np.int64)
    with pytest.raises(TypeError, match="no compiled walk for object"):
        walk(stacker, nothing, none, none, none, 0, 0, nothing, np.zeros((0, 2)))
