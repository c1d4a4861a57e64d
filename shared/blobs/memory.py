"""Blobs in memory: the reference for the port, for tests and for `--data-dir :memory:`."""

from collections.abc import Iterator

from shared.blobs.port import checked_name, digest_of, missing, verified


class MemoryBlobs:
    """A dictionary; lost with the process."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        """See the port."""
        digest = digest_of(data)
        self._held[digest] = bytes(data)
        return digest

    def get(self, digest: str) -> bytes:
        """See the port."""
        data = self._held.get(checked_name(digest))
        if data is None:
            raise missing(digest)
        return verified(digest, data)

    def delete(self, digest: str) -> None:
        """See the port."""
        self._held.pop(checked_name(digest), None)

    def digests(self) -> Iterator[str]:
        """See the port."""
        return iter(list(self._held))
