"""An anchor as the bytes of an artefact: its kind and its plain arrays, nothing to execute."""

import numpy as np

from shared.errors import UntrustedArtefact
from shared.models.anchors import anchor_of
from shared.models.packed import pack, unpack
from shared.models.port import Anchor

MAX_ANCHOR_BYTES = 256 * 1024 * 1024
_KIND = "kind"


def anchor_to_bytes(anchor: Anchor) -> bytes:
    """The same anchor gives the same bytes."""
    kind = np.frombuffer(anchor.kind.encode(), np.uint8)
    return pack({**anchor.snapshot(), _KIND: kind})


def anchor_from_bytes(data: bytes) -> Anchor:
    """The anchor of `anchor_to_bytes`; only for bytes that were verified.

    Raises:
        UntrustedArtefact: not such bytes, too large, of no known kind, or without its arrays.
    """
    arrays = unpack(data, MAX_ANCHOR_BYTES)
    kind = arrays.pop(_KIND, None)
    if kind is None:
        raise UntrustedArtefact("the artefact does not say what kind of anchor it holds")
    name = bytes(kind.tobytes()).decode(errors="replace")
    try:
        return anchor_of(name, arrays)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise UntrustedArtefact(f"the arrays are no anchor of kind {name!r}: {error!r}") from error
