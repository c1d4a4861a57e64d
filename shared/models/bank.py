"""The bank: all experts of a problem, computed once, whatever number of model versions use them."""

import json
from collections.abc import Sequence

import numpy as np

from shared.models.anchors import anchor_of, seen_by
from shared.models.arrival import Arrivals
from shared.models.gaps import Gaps
from shared.models.naps import Naps
from shared.models.port import (
    F32,
    F64,
    Anchor,
    Arrays,
    Arrival,
    Expert,
    Labels,
    Rows,
    State,
    Task,
)
from shared.models.reach import Reach
from shared.models.table import EXPERTS, default_experts


def branch(arrays: Arrays, prefix: str) -> State:
    """The entries under `prefix/`, with that prefix taken off."""
    head = f"{prefix}/"
    return {
        name[len(head) :]: np.asarray(a) for name, a in arrays.items() if name.startswith(head)
    }


class Bank:
    """Incremental experts and frozen anchors, in columns.

    `predict_many` takes note that events came (`arrivals`) and changes nothing else. Labels may come in
    any order, or never: what is learned carries its event's `Arrival`. Memory: the sum of the experts'
    own bounds.
    """

    def __init__(
        self,
        task: Task,
        n_features: int,
        n_classes: int = 2,
        seed: int = 1,
        experts: Sequence[str] = (),
    ) -> None:
        self.task: Task = task
        self.n_features = n_features
        self.n_classes = 1 if task == "regression" else n_classes
        self.arrivals = Arrivals(n_features)
        self.gaps = Gaps(n_features)
        self.reach = Reach()
        table = EXPERTS[task]
        for name in experts:
            if name not in table:
                raise ValueError(
                    f"there is no expert {name!r} for {task}; there are {list(table)}"
                )
        self.experts: dict[str, Expert] = {
            name: table[name](n_features, self.n_classes, seed + place)
            for place, name in enumerate(experts or default_experts(task))
        }
        columns = [len(expert.names) for expert in self.experts.values()]
        self.naps = Naps(
            np.repeat(np.arange(len(columns)), columns).tolist(),
            [expert.cost_us for expert in self.experts.values()],
        )
        self.anchors: dict[str, Anchor] = {}
        self.fresh = True
        """No label came yet: without asking an expert (or compiling it) one knows what it says."""
        self._name_columns()

    def _name_columns(self) -> None:
        own = [column for expert in self.experts.values() for column in expert.names]
        self.names: tuple[str, ...] = (*own, *self.anchors)

    @property
    def shares(self) -> F64:
        """[experts' columns] what each counts to begin with: families alike, columns of one alike.

        Columns alike would let a family of many step sizes outvote the only one that learned anything;
        with late labels it takes twice the delay to see that.
        """
        columns = np.bincount(self.naps.family)
        return np.asarray(1.0 / (len(columns) * columns[self.naps.family]))

    def predict_many(self, x: F64) -> tuple[F32, Arrival]:
        """What each column says, [n, E, K], and how the events looked when they came.

        Every value survives float16 (classes) or float32.
        """
        x = np.ascontiguousarray(x, np.float64)
        arrival = self.arrivals.take(x)
        rows = self._rows(x, arrival, learn=False)
        out = np.empty((len(x), len(self.names), self.n_classes), np.float32)
        first, nothing = 0, 0.0 if self.task == "regression" else 1.0 / self.n_classes
        for expert, awake in zip(self.experts.values(), self.naps.awake, strict=True):
            if awake and not self.fresh:
                expert.predict_into(rows, out, first)
            else:
                out[:, first : first + len(expert.names)] = nothing
            first += len(expert.names)
        for anchor in self.anchors.values():
            said = anchor.predict_many(seen_by(anchor, x, rows.view))
            out[:, first, : said.shape[1]] = said
            out[:, first, said.shape[1] :] = 0.0
            first += 1
        if self.task == "regression":
            self.reach.cut(out)
            return out, arrival
        return out.astype(np.float16).astype(np.float32), arrival

    def learn_many(self, x: F64, y: Labels, arrival: Arrival) -> None:
        """Learn labelled events in order; `y`: int64 class indices, or float64 targets."""
        self.fresh = False
        kind = np.float64 if self.task == "regression" else np.int64
        rows = self._rows(np.ascontiguousarray(x, np.float64), arrival, learn=True)
        y = np.ascontiguousarray(y, kind)
        if self.task == "regression":
            self.reach.learn_many(y)
        for expert, awake in zip(self.experts.values(), self.naps.awake, strict=True):
            if awake:
                expert.learn_many(rows, y)

    def _rows(self, x: F64, arrival: Arrival, learn: bool) -> Rows:
        view = arrival.view.astype(np.float64)
        z = np.ascontiguousarray(view[:, : self.n_features])
        return Rows(self.gaps.filled(x, learn), z, view, arrival.place)

    def add_anchor(self, name: str, anchor: Anchor) -> None:
        """A frozen model becomes the last column.

        Raises:
            ValueError: a column has that name already.
        """
        if name in self.names:
            raise ValueError(f"the bank has a column {name!r} already: name the anchor otherwise")
        self.anchors[name] = anchor
        self._name_columns()

    def remove_anchor(self, name: str) -> None:
        """Its column goes; those after it move up."""
        del self.anchors[name]
        self._name_columns()

    def grow(self, n_classes: int) -> None:
        """Make room for classes that appeared; never shrinks."""
        if n_classes > self.n_classes:
            self.n_classes = n_classes
            for expert in self.experts.values():
                expert.grow(n_classes)

    def snapshot(self) -> State:
        """The whole state as plain arrays."""
        state: State = {"classes": np.array([self.n_classes]), "fresh": np.array([self.fresh])}
        state |= {f"arrivals/{name}": array for name, array in self.arrivals.snapshot().items()}
        state |= {f"naps/{name}": array for name, array in self.naps.snapshot().items()}
        state |= {f"reach/{name}": array for name, array in self.reach.snapshot().items()}
        state |= {f"gaps/{name}": array for name, array in self.gaps.snapshot().items()}
        for key, expert in self.experts.items():
            state |= {f"expert/{key}/{name}": a for name, a in expert.snapshot().items()}
        listed = [[name, anchor.kind] for name, anchor in self.anchors.items()]
        state["anchors"] = np.frombuffer(json.dumps(listed).encode(), np.uint8).copy()
        for place, anchor in enumerate(self.anchors.values()):
            state |= {f"anchor/{place}/{name}": a for name, a in anchor.snapshot().items()}
        return state

    def restore(self, arrays: Arrays) -> None:
        """Continue, bit for bit, where the snapshot was taken (of a bank made alike)."""
        self.fresh = "fresh" in arrays and bool(arrays["fresh"][0])
        self.grow(int(arrays["classes"][0]))
        self.arrivals.restore(branch(arrays, "arrivals"))
        self.naps.restore(branch(arrays, "naps"))
        self.reach.restore(branch(arrays, "reach"))
        self.gaps.restore(branch(arrays, "gaps"))
        for key, expert in self.experts.items():
            expert.restore(branch(arrays, f"expert/{key}"))
        listed = json.loads(arrays["anchors"].tobytes())
        self.anchors = {
            name: anchor_of(kind, branch(arrays, f"anchor/{place}"))
            for place, (name, kind) in enumerate(listed)
        }
        self._name_columns()
