"""The blob port: what every backend promises (suite: `tests/contract/test_blobs.py`).

A blob is named by the SHA-256 of its bytes (64 lower-case hex digits), so a name can never come to
mean something else, a repeated `put` is harmless, and what is read is verified. What `put` returned
is durable: only then may a transaction commit the name (DESIGN rule 2).
"""

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Protocol

from shared.errors import Retryable, UntrustedArtefact
from shared.stage import Blobs

_DIGEST = re.compile(r"[0-9a-f]{64}")


class BlobStore(Blobs, Protocol):
    """`shared.stage.Blobs`, and what sweeping needs: blobs that no checkpoint names may go."""

    def delete(self, digest: str) -> None:
        """Forget a blob; one that is absent is no error."""
        ...

    def digests(self) -> Iterator[str]:
        """Every blob that is held, in any order."""
        ...


def digest_of(data: bytes) -> str:
    """The name of `data`."""
    return sha256(data).hexdigest()


def checked_name(digest: str) -> str:
    """`digest` if it can be one: a name from outside must never reach a path unchecked.

    Raises:
        UntrustedArtefact: it is not 64 lower-case hex digits.
    """
    if not _DIGEST.fullmatch(digest):
        raise UntrustedArtefact(f"{digest[:80]!r} is not a SHA-256 digest in lower-case hex")
    return digest


def verified(digest: str, data: bytes) -> bytes:
    """`data` if it hashes to `digest`.

    Raises:
        UntrustedArtefact: it does not.
    """
    found = digest_of(data)
    if found != digest:
        raise UntrustedArtefact(
            f"blob {digest} holds {len(data)} bytes that hash to {found}: it is damaged or was "
            "exchanged. It was not used. Restore it from a backup, or rebuild it from the log."
        )
    return data


def missing(digest: str) -> Retryable:
    """The error for a blob that is not there (yet)."""
    return Retryable(f"blob {digest} is not there (yet)")
