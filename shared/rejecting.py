"""From a record that cannot be used to its `rejected` message."""

from base64 import b64encode
from hashlib import sha256

from shared.errors import Reject
from shared.messages.codec import encode
from shared.messages.types import Rejected
from shared.stage import Record

RAW_LIMIT_BYTES = 65_536
"""Longer raw values are cut; size and SHA-256 of the whole are kept."""


REPLAYED = "replayed"
"""The header of an event that is sent once more: `partition:offset` where it first stood, which names
it where it has no id."""


def rejected(record: Record, problem: str, why: Reject) -> Rejected:
    """The `rejected` message for `record`: the reason, and where its raw bytes came from."""
    raw = encode(record.value)
    whole = len(raw) <= RAW_LIMIT_BYTES
    return Rejected(
        reason=why.reason,
        check=why.check,
        field=why.field,
        raw=b64encode(raw[:RAW_LIMIT_BYTES]).decode(),
        topic=f"{problem}.{record.stream}",
        partition=record.partition,
        offset=record.offset,
        raw_size_bytes=None if whole else len(raw),
        raw_sha256=None if whole else sha256(raw).hexdigest(),
    )
