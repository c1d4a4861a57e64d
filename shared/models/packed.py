"""Plain arrays as bytes: safetensors (a header and plain arrays; nothing to execute), zlib level 1."""

import zlib

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from shared.errors import UntrustedArtefact
from shared.models.port import Arrays, State

LEVEL = 1
MAX_SIZE_BYTES = 2**31


def pack(arrays: Arrays) -> bytes:
    """The same arrays give the same bytes."""
    return zlib.compress(
        save({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}), LEVEL
    )


def unpack(data: bytes, max_size_bytes: int = MAX_SIZE_BYTES) -> State:
    """The arrays of `pack`.

    Raises:
        UntrustedArtefact: not such bytes, or larger than `max_size_bytes` when unpacked.
    """
    try:
        inflate = zlib.decompressobj()
        plain = inflate.decompress(data, max_size_bytes)
        if inflate.unconsumed_tail or not inflate.eof:
            raise UntrustedArtefact(
                f"a model snapshot is cut off or larger than {max_size_bytes} bytes: not loaded"
            )
        return dict(load(plain))
    except (zlib.error, SafetensorError) as error:
        raise UntrustedArtefact(f"a model snapshot cannot be read: {error}") from error
