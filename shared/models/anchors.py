"""Frozen, batch-trained models as plain arrays, and the table of their kinds.

Each kind turns fitted scikit-learn models of its own into plain arrays.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from shared.errors import UntrustedArtefact
from shared.models.bayes_anchor import BayesAnchor
from shared.models.kernel_anchor import KernelAnchor
from shared.models.linear_anchor import LinearAnchor
from shared.models.neighbours_anchor import NeighboursAnchor
from shared.models.net_anchor import NetAnchor
from shared.models.port import F64, Anchor, Arrays, State
from shared.models.standardised import StandardisedAnchor, sklearn_name
from shared.models.trees_anchor import TreesAnchor

I64 = npt.NDArray[np.int64]
_INNER = "inner/"
_STANDARDISED: tuple[type[StandardisedAnchor], ...] = (
    LinearAnchor,
    NetAnchor,
    KernelAnchor,
    BayesAnchor,
    NeighboursAnchor,
)


class ChosenAnchor:
    """An anchor that sees some of the columns only: a model carries its own subset of the features."""

    kind: ClassVar[str] = "chosen"

    def __init__(self, columns: I64, anchor: Anchor) -> None:
        self.columns = columns
        self._anchor = anchor

    def predict_many(self, x: F64) -> F64:
        """See `Anchor`."""
        return self._anchor.predict_many(np.ascontiguousarray(x[:, self.columns]))

    def snapshot(self) -> State:
        """Its columns, and the arrays of the anchor behind them."""
        kind = np.frombuffer(self._anchor.kind.encode(), np.uint8)
        inner = {f"{_INNER}{name}": array for name, array in self._anchor.snapshot().items()}
        return {"columns": self.columns, "of_kind": kind, **inner}

    @classmethod
    def restore(cls, arrays: Arrays) -> Self:
        """The anchor of a snapshot."""
        inner = {n.removeprefix(_INNER): a for n, a in arrays.items() if n.startswith(_INNER)}
        kind = bytes(arrays["of_kind"].tobytes()).decode(errors="replace")
        return cls(np.asarray(arrays["columns"], np.int64), anchor_of(kind, inner))


class ViewAnchor(ChosenAnchor):
    """An anchor that sees the view of the events (`arrival.py`) instead of their features."""

    kind: ClassVar[str] = "view"


def seen_by(anchor: Anchor, x: F64, view: F64) -> F64:
    """What `anchor` is to be given of events: their features [n, d], or their view [n, W]."""
    return view if isinstance(anchor, ViewAnchor) else x


ANCHORS: Mapping[str, type[Anchor]] = {
    TreesAnchor.kind: TreesAnchor,
    ChosenAnchor.kind: ChosenAnchor,
    ViewAnchor.kind: ViewAnchor,
    **{anchor.kind: anchor for anchor in _STANDARDISED},
}


def anchor_of(kind: str, arrays: Arrays) -> Anchor:
    """The anchor of a snapshot.

    Raises:
        UntrustedArtefact: no such kind is known here.
    """
    if kind not in ANCHORS:
        raise UntrustedArtefact(f"no anchor of kind {kind!r} is known; known: {sorted(ANCHORS)}")
    return ANCHORS[kind].restore(arrays)


def anchor_from_sklearn(fitted: Any, classes: Sequence[Any] = (), on_view: bool = False) -> Anchor:
    """The anchor of a fitted scikit-learn model: trees, or another model behind a scaler; before either
    a `ColumnTransformer` may pass some columns on, as they are.

    `classes`: the pool's class labels, in the pool's order; empty in regression. `on_view`: it was
    fitted on the view of the events.

    Raises:
        ValueError: the model is of no kind that can be carried over exactly.
    """
    model, columns = fitted, None
    if sklearn_name(fitted) == "Pipeline" and sklearn_name(fitted[0]) == "ColumnTransformer":
        ((_, what, columns),) = fitted[0].transformers
        if what != "passthrough":
            raise ValueError(f"a ColumnTransformer may only choose columns, not {what}")
        model = fitted[-1]
    anchor = _whole(model, classes)
    if on_view:
        every = range(fitted.n_features_in_) if columns is None else columns
        return ViewAnchor(np.asarray(every, np.int64), anchor)
    return anchor if columns is None else ChosenAnchor(np.asarray(columns, np.int64), anchor)


def _whole(model: Any, classes: Sequence[Any]) -> Anchor:
    for kind in _STANDARDISED:
        if kind.takes(model):
            return kind.from_sklearn(model, classes)
    return TreesAnchor.from_sklearn(model, classes)
