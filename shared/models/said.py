"""What experts and stackers said at prediction time, carried compactly in the prediction.

Learning from late labels must use what was said then, not what would be said now (DESIGN section 5).
The text is `anchors;versions|base64`: the names of the anchors behind the base experts, the model
versions whose members are listed, then the numbers: all experts (E x K), then per version its members
(R x K). Classification travels as float16 (the values were rounded through it before use, so they
come back bit-identical), regression as float32.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.errors import Reject

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Said:
    """One event's share: `experts` [E, K] (anchors last), `members` [R, K] by version."""

    anchors: tuple[str, ...]
    experts: F32
    members: dict[str, F32]


def pack(anchors: Sequence[str], experts: F32, members: Mapping[str, F32], half: bool) -> str:
    """The text for one event; `half`: as float16 (classification)."""
    numbers = np.concatenate([experts.ravel(), *(m.ravel() for m in members.values())])
    data = numbers.astype(np.float16 if half else np.float32).tobytes()
    return f"{','.join(anchors)};{','.join(members)}|{b64encode(data).decode('ascii')}"


def unpack(text: str, n_base: int, n_members: int, half: bool) -> Said:
    """The text of `pack` back; `n_base` experts before the anchors, `n_members` R of each version.

    Raises:
        Reject: the text does not have this shape.
    """
    head, bar, data = text.partition("|")
    names, semicolon, listed = head.partition(";")
    anchors = tuple(names.split(",")) if names else ()
    versions = listed.split(",") if listed else []
    try:
        numbers = np.frombuffer(b64decode(data), np.float16 if half else np.float32)
    except ValueError as error:
        raise Reject(f"`said` is not what a scorer wrote: {error}", "said", "said") from error
    n_experts = n_base + len(anchors)
    rows = n_experts + n_members * len(versions)
    if not (bar and semicolon and numbers.size) or numbers.size % rows:
        raise Reject(f"`said` holds {numbers.size} numbers for {rows} rows", "said", "said")
    table = numbers.astype(np.float32).reshape(rows, -1)
    starts = range(n_experts, rows, n_members)
    members = {v: table[at : at + n_members] for v, at in zip(versions, starts, strict=True)}
    return Said(anchors, table[:n_experts], members)
