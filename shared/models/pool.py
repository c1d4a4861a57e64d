"""The pool: one bank, and a stacker for each live model version."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared.errors import Fatal
from shared.models.bank import Bank, branch
from shared.models.gaps import LARGEST
from shared.models.logit_stacker import floor_of
from shared.models.port import (
    F32,
    F64,
    I64,
    Anchor,
    Arrays,
    Arrival,
    Labels,
    Scored,
    State,
    Task,
    Verdict,
)
from shared.models.stacker import Stacker
from shared.models.targets import Targets

LAYOUTS_KEPT = 256
MOST_ANCHORS = 4
"""Anchors that a version hears at most, so that an event's cost does not grow with every retraining."""
FORMAT = 1
"""Of snapshots; raise it with any change that an older version would read wrongly."""


class Pool:
    """What a learner folds and a scorer reads.

    `predict_many` and `learn_many` may be apart by any number of events. What was said is handed back
    with the `layout` it came with, so columns and classes that came or went since are understood.
    Memory: `memory_bound`, about 16 MB for two classes and mostly forests.

    `targets` (one `smoothing` a field that is encoded by its labels) is carried along: who asks the
    pool encodes rows by it before, and has it learn their labels.
    """

    def __init__(
        self,
        task: Task,
        n_features: int,
        n_classes: int = 2,
        seed: int = 1,
        experts: Sequence[str] = (),
        version: str = "1",
        smoothing: Sequence[float] = (),
    ) -> None:
        self.task: Task = task
        self.bank = Bank(task, n_features, n_classes, seed, experts)
        # what `of` builds anew; the experts by name, so that another default changes no old snapshot
        self.made: dict[str, Any] = {
            "task": task,
            "n_features": n_features,
            "n_classes": n_classes,
            "seed": seed,
            "experts": list(self.bank.experts),
        }
        if smoothing:
            self.made["smoothing"] = list(smoothing)
        self.targets = Targets(task, n_classes, smoothing) if smoothing else None
        self.versions = {
            version: Stacker(task, self.bank.names, self.bank.n_classes, self.bank.shares)
        }
        self.champion = version
        self.canary: str | None = None
        self.layout = 0
        self.layouts = {0: self.bank.names}
        self._find_columns()

    def _find_columns(self) -> None:
        place = {name: column for column, name in enumerate(self.bank.names)}
        self._columns: dict[str, I64] = {
            version: np.array([place[name] for name in stacker.names], np.int64)
            for version, stacker in self.versions.items()
        }

    def _relaid(self) -> None:
        """The bank's columns changed: a new layout number for what is said from now on."""
        if self.bank.names != self.layouts[self.layout]:
            self.layout += 1
            self.layouts[self.layout] = self.bank.names
            self.layouts.pop(self.layout - LAYOUTS_KEPT, None)
        self._find_columns()

    @property
    def n_classes(self) -> int:
        """Classes known now (1 in regression)."""
        return self.bank.n_classes

    @property
    def memory_bound(self) -> int:
        """Bytes the pool holds at most, however long the stream: its experts, stackers and anchors.

        A member that is a River model is as large as River lets it be, and not in it.
        """
        others: list[Stacker | Anchor] = [*self.versions.values(), *self.bank.anchors.values()]
        encoded = self.targets.memory_bound if self.targets else 0
        return (
            encoded
            + sum(expert.memory_bound for expert in self.bank.experts.values())
            + sum(array.nbytes for one in others for array in one.snapshot().values())
        )

    def predict_many(self, x: F64) -> Scored:
        """What every version says of the next events of the stream."""
        said, arrival = self.bank.predict_many(x)
        by_version: dict[str, Verdict] = {
            version: stacker.predict_many(said, self._columns[version])
            for version, stacker in self.versions.items()
        }
        return Scored(said, by_version, self.layout, arrival)

    def learn_many(
        self,
        x: F64,
        y: Labels,
        said: F32,
        members: Mapping[str, F32],
        arrival: Arrival,
        layout: int | None = None,
    ) -> None:
        """Learn labelled events in order.

        `said`, `members`, `arrival`: from the `Scored` of these rows, of whose `layout` they are (None:
        today's).
        A column that did not exist then said nothing (all classes alike; in regression the mean of the
        others); a class that did not exist had probability 0. A version missing in `members` learns
        from `said` alone; a version that is gone is ignored.

        Raises:
            ValueError: a label is not finite, or no known class (`grow` first).
        """
        y = self._checked(y)
        names = self.layouts.get(self.layout if layout is None else layout, ())
        said = self._aligned(said, names)
        members = {version: _with_classes(own, self.n_classes) for version, own in members.items()}
        start = 0
        while start < len(y):  # who sleeps may change in between
            part = slice(start, start + self.bank.naps.room)
            own = {version: said_then[part] for version, said_then in members.items()}
            self._learn(x[part], y[part], said[part], own, arrival.of(part))
            start = part.stop

    def _learn(
        self, x: F64, y: Labels, said: F32, members: Mapping[str, F32], arrival: Arrival
    ) -> None:
        """At most as many events as there are up to the next decision of the naps."""
        self.bank.learn_many(x, y, arrival)
        for version, stacker in self.versions.items():
            stacker.learn_many(said, members.get(version), y, self._columns[version])
        if self.task != "regression":
            self._nap(said, y)

    def _nap(self, said: F32, y: I64) -> None:
        """Judge the experts by their part in the champion's mix, without its anchors."""
        naps = self.bank.naps
        own = self.bank.names[: len(naps.family)]
        if naps.judge(said[:, : len(own)], y, floor_of(self.n_classes)):
            weights = self.versions[self.champion].weights
            naps.decide(np.array([weights.get(name, 0.0) for name in own]))

    def _checked(self, y: Labels) -> Labels:
        if self.task == "regression":
            target = np.ascontiguousarray(y, np.float64)
            if not np.isfinite(target).all():
                raise ValueError("a target is not finite: reject it before it reaches the pool")
            return np.clip(target, -LARGEST, LARGEST)  # its square must be a number too
        index = np.ascontiguousarray(y, np.int64)
        if len(index) and not 0 <= index.min() <= index.max() < self.n_classes:
            raise ValueError(
                f"a label is outside the {self.n_classes} classes known: call grow() first"
            )
        return index

    def _aligned(self, said: F32, names: tuple[str, ...]) -> F32:
        """`said`, whose columns are `names`, in today's columns and classes."""
        said = _with_classes(said, self.n_classes)
        if names == self.bank.names:
            return said
        place = {name: column for column, name in enumerate(names[: said.shape[1]])}
        if self.task == "regression":
            nothing = said.mean(axis=1, keepdims=True) if said.shape[1] else 0.0
        else:
            nothing = 1.0 / self.n_classes
        full = np.empty((len(said), len(self.bank.names), self.n_classes), np.float32)
        full[:] = nothing
        for column, name in enumerate(self.bank.names):
            if name in place:
                full[:, column] = said[:, place[name]]
        return full

    def grow(self, n_classes: int) -> None:
        """Classes appeared: the pool knows `n_classes` from now on."""
        self.bank.grow(n_classes)
        for stacker in self.versions.values():
            stacker.grow(self.bank.n_classes)

    def add_version(self, version: str, anchors: Mapping[str, Anchor]) -> None:
        """A challenger: a fork of the champion that also hears `anchors`; of those that the champion
        hears the newest only, so that there are `MOST_ANCHORS` in all.

        Raises:
            ValueError: the version, or a column of an anchor's name, exists already.
        """
        if version in self.versions:
            raise ValueError(f"version {version!r} exists already")
        for name, anchor in anchors.items():
            self.bank.add_anchor(name, anchor)
        champion = self.versions[self.champion]
        names = (*champion.names, *anchors)
        heard = [name for name in names if name in self.bank.anchors]
        old = heard[:-MOST_ANCHORS]
        self.versions[version] = champion.fork([name for name in names if name not in old])
        self._relaid()

    def drop_version(self, version: str) -> None:
        """Its stacker goes, and every anchor that no other version hears.

        Raises:
            ValueError: it is the champion.
        """
        if version == self.champion:
            raise ValueError(f"version {version!r} is the champion: promote another one first")
        self.conceal(version)
        del self.versions[version]
        heard = {name for stacker in self.versions.values() for name in stacker.names}
        for name in [name for name in self.bank.anchors if name not in heard]:
            self.bank.remove_anchor(name)
        self._relaid()

    def promote(self, version: str) -> None:
        """`version` answers from now on; the former champion stays as a shadow until dropped."""
        if version not in self.versions:
            raise ValueError(f"there is no version {version!r}; there are {list(self.versions)}")
        self.conceal(version)
        self.champion = version

    def expose(self, version: str) -> None:
        """`version` is the canary from now on: the scorer gives it a share of the events."""
        if version not in self.versions or version == self.champion:
            raise ValueError(f"{version!r} is no shadow; there are {list(self.versions)}")
        self.canary = version

    def conceal(self, version: str) -> None:
        """`version` answers no more as the canary, if it did."""
        if self.canary == version:
            self.canary = None

    def snapshot(self) -> State:
        """The whole state as plain arrays; `pool` holds JSON about its shape."""
        about = {
            "format": FORMAT,
            **self.made,
            "versions": {version: list(s.names) for version, s in self.versions.items()},
            "champion": self.champion,
            "layout": self.layout,
            "layouts": {str(number): list(names) for number, names in self.layouts.items()},
        }
        if self.canary is not None:
            about["canary"] = self.canary
        text = json.dumps(about, separators=(",", ":"), sort_keys=False)
        state: State = {"pool": np.frombuffer(text.encode(), np.uint8).copy()}
        state |= {f"bank/{name}": array for name, array in self.bank.snapshot().items()}
        for place, stacker in enumerate(self.versions.values()):
            state |= {f"stacker/{place}/{name}": a for name, a in stacker.snapshot().items()}
        if self.targets is not None:
            state |= {f"targets/{name}": a for name, a in self.targets.snapshot().items()}
        return state

    @classmethod
    def of(cls, arrays: Arrays) -> "Pool":
        """The pool of a snapshot; goes on bit for bit as the one it was taken of.

        Raises:
            Fatal: another version of Headrace wrote it, in another format.
        """
        about = json.loads(arrays["pool"].tobytes())
        if (found := about.get("format", 1)) != FORMAT:  # the first ones did not say
            raise Fatal(
                f"a model snapshot has format {found}, and this version of Headrace reads {FORMAT}. "
                "Go on with the version that wrote it, or start over from the events with this one: "
                "--fresh, or another --data-dir; on Kafka another problem name."
            )
        pool = cls(
            about["task"],
            about["n_features"],
            about["n_classes"],
            about["seed"],
            about["experts"],
            smoothing=about.get("smoothing", ()),
        )
        pool.restore(arrays)
        return pool

    def restore(self, arrays: Arrays) -> None:
        """Continue, bit for bit, where the snapshot was taken (of a pool made alike)."""
        about = json.loads(arrays["pool"].tobytes())
        self.bank.restore(branch(arrays, "bank"))
        self.versions = {}
        for place, (version, names) in enumerate(about["versions"].items()):
            stacker = Stacker(self.task, names, self.bank.n_classes)
            stacker.restore(branch(arrays, f"stacker/{place}"))
            self.versions[version] = stacker
        if self.targets is not None:
            self.targets.restore(branch(arrays, "targets"))
        self.champion = about["champion"]
        self.canary = about.get("canary")
        self.layout = about["layout"]
        self.layouts = {int(number): tuple(n) for number, n in about["layouts"].items()}
        self._find_columns()


def _with_classes(said: F32, n_classes: int) -> F32:
    """`said` with probability 0 for the classes that did not exist yet."""
    missing = n_classes - said.shape[2]
    if missing <= 0:
        return said
    return np.pad(said, ((0, 0), (0, 0), (0, missing)))
