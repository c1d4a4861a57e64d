"""Frozen, batch-trained models as plain arrays, and the table of their kinds.

`trees_anchor.py` and `linear_anchor.py` turn fitted scikit-learn models into them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.errors import UntrustedArtefact
from shared.models.linear_anchor import LinearAnchor
from shared.models.port import Anchor, Arrays
from shared.models.trees_anchor import TreesAnchor

ANCHORS: Mapping[str, type[Anchor]] = {
    LinearAnchor.kind: LinearAnchor,
    TreesAnchor.kind: TreesAnchor,
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
    """The anchor of a fitted scikit-learn model: trees, or a linear model behind a scaler.

    `classes`: the pool's class labels, in the pool's order; empty in regression.

    Raises:
        ValueError: the model is of no kind that can be carried over exactly.
    """
    if LinearAnchor.takes(fitted):
        return LinearAnchor.from_sklearn(fitted, classes)
    return TreesAnchor.from_sklearn(fitted, classes)
