"""The profile of the rows that a model was trained on, as text beside it (in its manifest)."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from shared.errors import Reject
from shared.features.profile.block import Block
from shared.features.profile.column import Column

MOST_FEATURES = 256
"""The first ones; of more a manifest would become too large."""
ALL_BINS = 8_192
"""Over all columns: some 120 kB of text at most."""


class _Saved(msgspec.Struct, array_like=True):
    name: str
    counted: tuple[int, int]
    moments: tuple[float, float, float, float]
    shift: int
    keys: list[int]
    counts: list[int]
    distinct: float


def reference(rows: npt.NDArray[np.float64], names: Sequence[str]) -> str:
    """Of `rows` [n, p], NaN missing: of each feature the bins, fewer the more features there are."""
    block = Block(names[:MOST_FEATURES])
    block.add(rows[:, :MOST_FEATURES])
    bins = ALL_BINS // max(len(block.names), 16)
    kept = [_saved(name, block.column(name).smaller(bins)) for name in block.names]
    return b64encode(msgspec.msgpack.encode(kept)).decode()


def read_reference(text: str) -> dict[str, Column]:
    """The columns by feature.

    Raises:
        Reject: this is no reference profile.
    """
    try:
        saved = msgspec.msgpack.decode(b64decode(text, validate=True), type=list[_Saved])
    except (Base64Error, ValueError, msgspec.DecodeError) as error:
        raise Reject(f"this is no reference profile: {error}", "profile") from error
    return {
        row.name: Column(
            *row.counted, *row.moments, row.shift, np.array(row.keys, np.int64),
            np.array(row.counts, np.int64), row.distinct,
        )
        for row in saved
    }  # fmt: skip


def _saved(name: str, column: Column) -> _Saved:
    return _Saved(
        name, (column.n, column.missing), (column.low, column.high, column.mean, column.squares),
        column.shift, column.keys.tolist(), column.counts.tolist(), column.distinct,
    )  # fmt: skip
