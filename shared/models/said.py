"""What experts and stackers said at prediction time, carried compactly in the prediction.

Learning from late labels must use what was said then, not what would be said now (DESIGN section 5).
The text is `anchors;versions|base64`: the names of the anchors behind the base experts, the model
versions whose members are listed, then the numbers: all experts (E x K), then per version its members
(R x K). Classification travels as float16 (the values were rounded through it before use, so they
come back bit-identical), regression as float32.
"""

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.errors import Reject

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Said:
    """`experts` [E, K] (anchors last), `members` [R, K] by version: one event's share.

    Of n events in a block: [n, E, K] and [n, R, K].
    """

    anchors: tuple[str, ...]
    experts: F32
    members: dict[str, F32]


def pack(anchors: Sequence[str], experts: F32, members: Mapping[str, F32], half: bool) -> str:
    """The text for one event; `half`: as float16 (classification)."""
    return pack_many(anchors, experts[None], {v: m[None] for v, m in members.items()}, half)[0]


def pack_many(
    anchors: Sequence[str], experts: F32, members: Mapping[str, F32], half: bool
) -> list[str]:
    """The texts for a block of events."""
    numbers = np.concatenate([experts, *members.values()], axis=1)
    data = numbers.astype(np.float16 if half else np.float32)
    head = f"{','.join(anchors)};{','.join(members)}|"
    return [head + b2a_base64(one, newline=False).decode("ascii") for one in data]


def unpack(text: str, n_base: int, n_members: int, half: bool) -> Said:
    """The text of `pack` back; `n_base` experts before the anchors, `n_members` R of each version.

    Raises:
        Reject: the text does not have this shape.
    """
    block = unpack_many([text], n_base, n_members, half)
    return Said(block.anchors, block.experts[0], {v: m[0] for v, m in block.members.items()})


def unpack_many(texts: Sequence[str], n_base: int, n_members: int, half: bool) -> Said:
    """The texts of a block back; they list the same anchors and versions.

    Raises:
        Reject: a text does not have this shape, or another one than the first.
    """
    head, bar, _ = texts[0].partition("|")
    names, semicolon, listed = head.partition(";")
    anchors = tuple(names.split(",")) if names else ()
    versions = listed.split(",") if listed else []
    if not all(text.startswith(head) for text in texts):
        raise Reject("`said` of a block lists different anchors or versions", "said", "said")
    try:
        pieces = [a2b_base64(text[len(head) + 1 :]) for text in texts]
        numbers = np.frombuffer(b"".join(pieces), np.float16 if half else np.float32)
    except ValueError as error:
        raise Reject(f"`said` is not what a scorer wrote: {error}", "said", "said") from error
    n_experts = n_base + len(anchors)
    rows = n_experts + n_members * len(versions)
    one = numbers.size // len(texts)
    if not (bar and semicolon and one) or one % rows or len(set(map(len, pieces))) > 1:
        raise Reject(f"`said` holds {one} numbers for {rows} rows", "said", "said")
    table = numbers.reshape(len(texts), rows, -1)
    starts = range(n_experts, rows, n_members)
    return Said(
        anchors,
        table[:, :n_experts].astype(np.float32, order="C"),
        {
            version: table[:, at : at + n_members].astype(np.float32, order="C")
            for version, at in zip(versions, starts, strict=True)
        },
    )
