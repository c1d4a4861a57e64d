"""What every model of the pool must keep, whatever it is made of.

`make()` gives a fresh model: `predict(x)` says rows, `learn(x, y, said)` learns them from what was
said, `snapshot()` and `restore(arrays)` are plain arrays.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from shared.models.packed import pack, unpack
from shared.models.port import F64, Arrays, Labels, State


class Model(Protocol):
    def predict(self, x: F64) -> Any: ...
    def learn(self, x: F64, y: Labels, said: Any) -> None: ...
    def snapshot(self) -> State: ...
    def restore(self, arrays: Arrays) -> None: ...


Make = Callable[[], Model]


def check_model(make: Make, x: F64, y: Labels, late_by: int = 5) -> None:
    """Every property of the contract, on one stream whose labels are `late_by` events late."""
    said, state = run(make, x, y, late_by)
    again, state_again = run(make, x, y, late_by)
    assert said == again, "the same input twice gave other bytes"
    assert state == state_again, "the same input twice left another state"
    check_predict_only_arrives(make, x, y)
    check_predict_splits(make, x, y)
    check_learn_splits(make, x, y)
    check_every_cut(make, x, y, late_by, said, state)
    check_no_leak(make, x, y, late_by, said)


def run(
    make: Make, x: F64, y: Labels, late_by: int, cuts: bool = False
) -> tuple[list[bytes], bytes]:
    """What is said event by event, and the state at the end; `cuts`: reborn after every event."""
    model, told, said = make(), [], []
    for i in range(len(x)):
        told.append(model.predict(x[i : i + 1]))
        said.append(as_bytes(told[-1]))
        j = i - late_by
        if j >= 0:
            model.learn(x[j : j + 1], y[j : j + 1], told[j])
        if cuts:
            model = reborn(make, model)
    return said, pack(model.snapshot())


def reborn(make: Make, model: Model) -> Model:
    """The model after its state has been bytes."""
    fresh = make()
    fresh.restore(unpack(pack(model.snapshot())))
    return fresh


def taught(make: Make, x: F64, y: Labels, sizes: Iterable[int]) -> Model:
    """A model that learned all of `x` in blocks of these sizes, said by a twin that learns nothing."""
    model, twin, start = make(), make(), 0
    for size in sizes:
        part = slice(start, start + size)
        model.learn(x[part], y[part], twin.predict(x[part]))
        start += size
    assert start == len(x)
    return model


def splits(n: int) -> list[list[int]]:
    uneven = [1, 2, 7, 16, 33]
    uneven.append(n - sum(uneven))
    return [[n], [1] * n, uneven]


def check_predict_only_arrives(make: Make, x: F64, y: Labels) -> None:
    model = taught(make, x, y, [len(x)])
    before = pack(without_arrivals(model.snapshot()))
    model.predict(x)
    assert before == pack(without_arrivals(model.snapshot())), "predicting changed the state"


def without_arrivals(state: State) -> State:
    """All but what a bank knows of the events that came (`shared/models/arrival.py`)."""
    return {name: array for name, array in state.items() if "arrivals/" not in name}


def check_predict_splits(make: Make, x: F64, y: Labels) -> None:
    half = len(x) // 2
    said = []
    for sizes in splits(len(x) - half):
        model = taught(make, x[:half], y[:half], [half])
        ends = np.cumsum(sizes)[:-1]
        said.append(b"".join(rowwise(model.predict(part)) for part in np.split(x[half:], ends)))
    assert said[0] == said[1] == said[2], "a split of a predict block changed what is said"


def check_learn_splits(make: Make, x: F64, y: Labels) -> None:
    states = [pack(taught(make, x, y, sizes).snapshot()) for sizes in splits(len(x))]
    assert states[0] == states[1] == states[2], "a split of a learn block changed the state"


def check_every_cut(
    make: Make, x: F64, y: Labels, late_by: int, said: list[bytes], state: bytes
) -> None:
    cut, state_cut = run(make, x, y, late_by, cuts=True)
    assert cut == said, "snapshot and restore changed what is said"
    assert state_cut == state, "snapshot and restore changed the state"


def check_no_leak(make: Make, x: F64, y: Labels, late_by: int, said: list[bytes]) -> None:
    k = len(x) // 2
    other = y.copy()
    other[k:] = other[k:].max() - other[k:] + other[k:].min()
    flipped, _ = run(make, x, other, late_by)
    may_differ = k + late_by + 1
    assert flipped[:may_differ] == said[:may_differ], "a label changed a prediction before it came"


def as_bytes(said: Any) -> bytes:
    return said.tobytes() if isinstance(said, np.ndarray) else rowwise(said)


def rowwise(said: Any) -> bytes:
    """Bytes row by row, so that blocks of any size join to the same."""
    parts = [said] if isinstance(said, np.ndarray) else said.parts()
    return b"".join(part[i].tobytes() for i in range(len(parts[0])) for part in parts)
