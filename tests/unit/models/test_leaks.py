"""No label is known before it comes: the default pool, on the course of `headrace bench learning`."""

import numpy as np
import pytest

from shared.bench.course import go
from shared.bench.headrace_learner import HeadraceLearner
from shared.bench.streams import Stream
from shared.models.pool import Pool
from shared.models.port import F64, I64, Labels, Scored, Task
from tests.unit.models.streams import noisy_stream

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")


def as_stream(x: F64, y: Labels, task: Task) -> Stream:
    classes = {"binary": 2, "multiclass": 3, "regression": 0}[task]
    return Stream("made-up", x, y, tuple(range(classes)))


def other_labels(y: Labels, task: Task) -> Labels:
    """Every label another one."""
    if task == "regression":
        return 2 * y.mean() - y + y.std()
    return (y + 1) % (y.max() + 1)


def said_of(stream: Stream, delay: int, block: int = 1) -> F64:
    lap = go(lambda: HeadraceLearner(stream, seed=1), stream, delay, block)
    return lap.said


@pytest.mark.slow
@pytest.mark.parametrize(("task", "delay"), [("binary", 0), ("multiclass", 0), ("binary", 40)])
def test_random_labels_score_at_chance(task: Task, delay: int) -> None:
    n, k = 1500, 2 if task == "binary" else 3
    x, _ = noisy_stream(task, n)
    y = np.random.default_rng(5).integers(0, k, n)
    p = said_of(as_stream(x, y, task), delay)
    hits = p.argmax(axis=1) == y
    assert abs(hits.mean() - 1 / k) < 4 * np.sqrt((k - 1) / k**2 / n)
    lost = -np.log(p[np.arange(n), y])
    assert lost.mean() > np.log(k) - 0.005, "it is surer than anyone can be of random labels"


@pytest.mark.slow
def test_random_targets_are_explained_by_nothing() -> None:
    x, _ = noisy_stream("regression", 1500)
    y = np.random.default_rng(5).normal(size=len(x))
    said = said_of(as_stream(x, y, "regression"), 0)[:, 0]
    assert np.mean((said - y) ** 2) > np.var(y) * 0.97


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("delay", "block"), [(0, 1), (17, 1), (17, 8)])
def test_labels_changed_from_an_event_on_change_nothing_before_they_come(
    task: Task, delay: int, block: int
) -> None:
    x, y = noisy_stream(task, 240)
    k = 120
    changed = y.copy()
    changed[k:] = other_labels(y, task)[k:]
    one = said_of(as_stream(x, y, task), delay, block)
    two = said_of(as_stream(x, changed, task), delay, block)
    known = k + delay + 1  # the first row that may know label k
    assert one[:known].tobytes() == two[:known].tobytes()
    assert not np.array_equal(one[known:], two[known:]), "labels are learned at all"


@pytest.mark.parametrize("task", TASKS)
def test_a_label_is_used_by_no_prediction_before_it_arrives(task: Task) -> None:
    """Delays differ from event to event, so labels come in another order than their events."""
    x, y = noisy_stream(task, 200)
    event = 77
    arrives = np.arange(200) + np.random.default_rng(1).integers(0, 60, 200)
    changed = y.copy()
    changed[event] = other_labels(y, task)[event]
    one, two = late(task, x, y, arrives), late(task, x, changed, arrives)
    known = arrives[event] + 1
    assert one[:known].tobytes() == two[:known].tobytes()
    assert not np.array_equal(one[known:], two[known:]), "the label is learned at all"


def late(task: Task, x: F64, y: Labels, arrives: I64) -> F64:
    """What a pool says of row t that knows the labels with `arrives` < t."""
    pool = Pool(task, x.shape[1], int(y.max()) + 1 if task != "regression" else 2)
    told: list[Scored] = []
    for t in range(len(x)):
        for j in np.flatnonzero(arrives == t - 1):
            scored = told[j]
            members = {name: verdict.members for name, verdict in scored.by_version.items()}
            row = slice(j, j + 1)
            pool.learn_many(x[row], y[row], scored.said, members, scored.arrival)
        told.append(pool.predict_many(x[t : t + 1]))
    return np.concatenate([scored.by_version[pool.champion].mean for scored in told])
