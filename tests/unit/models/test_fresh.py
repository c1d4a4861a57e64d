"""A bank that never saw a label answers without its experts: with the very bytes they would give."""

import os
import subprocess
import sys

import numpy as np
import pytest

from shared.models.bank import Bank
from shared.models.codec import from_bytes, to_bytes
from shared.models.pool import Pool
from shared.models.port import Task
from shared.models.table import EXPERTS

FIRST_ANSWER = """
from numba.core import event
import numpy as np
compiled = []
class Listener(event.Listener):
    def on_start(self, it):
        compiled.append(it.data["dispatcher"].py_func.__module__)
    def on_end(self, it):
        pass
event.register("numba:compile", Listener())
from shared.models.pool import Pool
Pool("binary", 3).predict_many(np.ones((1, 3)))
print(*sorted({name for name in compiled if name.startswith("shared.")}))
"""


@pytest.mark.parametrize(
    ("task", "n_classes"), [("binary", 2), ("multiclass", 7), ("regression", 1)]
)
def test_every_fresh_expert_says_what_the_bank_says_for_it(task: Task, n_classes: int) -> None:
    two_classes = {"river-logistic"} if task == "multiclass" else set()
    names = tuple(name for name in EXPERTS[task] if name not in two_classes)
    x = np.random.default_rng(0).normal(size=(40, 3)) * np.array([1.0, 1e6, 1e-6])
    x[3, 1] = np.nan
    short, asked = (Bank(task, 3, n_classes, experts=names) for _ in range(2))
    asked.fresh = False
    for rows in (x[:1], x[1:]):
        assert short.predict_many(rows)[0].tobytes() == asked.predict_many(rows)[0].tobytes()


def test_after_a_label_or_a_restore_the_experts_are_asked() -> None:
    pool, x = Pool("binary", 2), np.random.default_rng(1).normal(size=(64, 2))
    assert pool.bank.fresh and from_bytes(to_bytes(pool)).bank.fresh
    for i in range(len(x)):
        scored = pool.predict_many(x[i : i + 1])
        members = {version: verdict.members for version, verdict in scored.by_version.items()}
        y = np.array([int(x[i, 0] > 0)])
        pool.learn_many(x[i : i + 1], y, scored.said, members, scored.arrival)
    again = from_bytes(to_bytes(pool))
    assert not pool.bank.fresh and not again.bank.fresh
    said = pool.predict_many(x).said
    assert np.ptp(said[:, 0], axis=0).min() > 0.1
    assert said.tobytes() == again.predict_many(x).said.tobytes()


@pytest.mark.slow
def test_the_first_answer_compiles_no_expert(tmp_path: object) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "0"}
    told = subprocess.run(
        [sys.executable, "-c", FIRST_ANSWER], env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    modules = ("arrival", "gaps", "logit_mix")
    assert told.stdout.split() == [f"shared.models.{name}" for name in modules]
