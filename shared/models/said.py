"""What experts and members said about one event, as text that travels inside its prediction.

Base64 of a 12-byte header (layout, experts, classes, value width; little endian), a JSON object
{version: members} and the values: float16 where they are probabilities, float32 in regression. Both
hold exactly what the pool said, so learning from the text is learning from what was said, bit for bit.
"""

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.errors import Reject
from shared.models.port import F32, Scored

_HEADER = struct.Struct("<IHHHH")  # layout, experts, values an expert, bytes a value, JSON length


@dataclass(frozen=True, slots=True)
class Said:
    """One event's share of a `Scored`: `said` [1, E, K], `members` version -> [1, R, K]."""

    said: F32
    members: Mapping[str, F32]
    layout: int


def pack_said(scored: Scored, row: int) -> str:
    """The text of row `row`."""
    _, n_experts, n_values = scored.said.shape
    kind = np.dtype("<f4") if n_values == 1 else np.dtype("<f2")
    verdicts = scored.by_version
    sizes = json.dumps({v: verdicts[v].members.shape[1] for v in verdicts}).encode()
    parts = [scored.said[row], *(verdict.members[row] for verdict in verdicts.values())]
    head = _HEADER.pack(scored.layout, n_experts, n_values, kind.itemsize, len(sizes))
    values = b"".join(part.astype(kind).tobytes() for part in parts)
    return base64.b64encode(head + sizes + values).decode()


def unpack_said(text: str) -> Said:
    """What `pack_said` packed.

    Raises:
        Reject: the text was not written by `pack_said`.
    """
    try:
        data = base64.b64decode(text, validate=True)
        layout, n_experts, n_values, width, n_json = _HEADER.unpack_from(data)
        start = _HEADER.size + n_json
        sizes: dict[str, int] = json.loads(data[_HEADER.size : start])
        rows = [n_experts, *sizes.values()]
        flat = np.frombuffer(data[start:], {2: "<f2", 4: "<f4"}[width]).astype(np.float32)
        ends = np.cumsum(rows)[:-1]
        said, *members = np.split(flat.reshape(1, sum(rows), n_values), ends, axis=1)
    except (binascii.Error, struct.error, ValueError, KeyError, AttributeError) as error:
        raise Reject(
            f"the field `said` of a prediction cannot be read: {error}", "said", "said"
        ) from error
    members = [np.ascontiguousarray(part) for part in members]
    return Said(np.ascontiguousarray(said), dict(zip(sizes, members, strict=True)), layout)
