"""Frozen, batch-trained models as plain arrays, and the table of their kinds.

Each kind turns fitted scikit-learn models of its own into plain arrays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.errors import UntrustedArtefact
from shared.models.bayes_anchor import BayesAnchor
from shared.models.kernel_anchor import KernelAnchor
from shared.models.linear_anchor import LinearAnchor
from shared.models.neighbours_anchor import NeighboursAnchor
from shared.models.net_anchor import NetAnchor
from shared.models.port import Anchor, Arrays
from shared.models.standardised import StandardisedAnchor
from shared.models.trees_anchor import TreesAnchor

_STANDARDISED: tuple[type[StandardisedAnchor], ...] = (
    LinearAnchor,
    NetAnchor,
    KernelAnchor,
    BayesAnchor,
    NeighboursAnchor,
)
ANCHORS: Mapping[str, type[Anchor]] = {
    TreesAnchor.kind: TreesAnchor,
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


def anchor_from_sklearn(fitted: Any, classes: Sequence[Any] = ()) -> Anchor:
    """The anchor of a fitted scikit-learn model: trees, or another model behind a scaler.

    `classes`: the pool's class labels, in the pool's order; empty in regression.

    Raises:
        ValueError: the model is of no kind that can be carried over exactly.
    """
    for kind in _STANDARDISED:
        if kind.takes(fitted):
            return kind.from_sklearn(fitted, classes)
    return TreesAnchor.from_sklearn(fitted, classes)
