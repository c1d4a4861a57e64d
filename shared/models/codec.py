"""A pool as bytes."""

from shared.models.packed import MAX_SIZE_BYTES, pack, unpack
from shared.models.pool import Pool


def to_bytes(pool: Pool) -> bytes:
    """The pool's snapshot as bytes."""
    return pack(pool.snapshot())


def from_bytes(data: bytes, max_size_bytes: int = MAX_SIZE_BYTES) -> Pool:
    """The pool of `to_bytes`; goes on bit for bit as the one it was taken of."""
    return Pool.of(unpack(data, max_size_bytes))
