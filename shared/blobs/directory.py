"""Blobs as files `ab/abcd…` under an fsspec URL: a local directory, or an object store.

Locally a blob is written beside, synced and renamed (`shared/durable.py`). On other file systems of
fsspec a write must be atomic and durable when it returns, as a PUT of S3 and its kin is.
"""

from collections.abc import Iterator
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from shared.blobs.port import checked_name, digest_of, missing, verified
from shared.durable import translated, write_durably
from shared.errors import UntrustedArtefact


class DirectoryBlobs:
    """One file a blob, in 256 folders, under `url` (`file:///…`)."""

    def __init__(self, url: str) -> None:
        self._fs, self._root = fsspec.core.url_to_fs(url)
        self._local = isinstance(self._fs, LocalFileSystem)

    def put(self, data: bytes) -> str:
        """See the port. A damaged copy that is already there is replaced."""
        digest = digest_of(data)
        if self._holds(digest, data):
            return digest
        path = self._path(digest)
        if self._local:
            write_durably(Path(path), data)
        else:
            with translated(path):
                self._fs.pipe_file(path, data)
        return digest

    def get(self, digest: str) -> bytes:
        """See the port."""
        path = self._path(checked_name(digest))
        with translated(path):
            try:
                data: bytes = self._fs.cat_file(path)
            except FileNotFoundError as error:
                raise missing(digest) from error
        return verified(digest, data)

    def delete(self, digest: str) -> None:
        """See the port."""
        path = self._path(checked_name(digest))
        with translated(path):
            try:
                self._fs.rm_file(path)
            except FileNotFoundError:
                return

    def digests(self) -> Iterator[str]:
        """See the port; files that are not blobs are passed over."""
        with translated(self._root):
            paths = self._fs.find(self._root)
        for path in paths:
            name = path.rsplit("/", 1)[-1]
            try:
                yield checked_name(name)
            except UntrustedArtefact:
                continue

    def _holds(self, digest: str, data: bytes) -> bool:
        """Whether the very bytes are there; the size is looked at first, it is cheap."""
        path = self._path(digest)
        with translated(path):
            try:
                return bool(self._fs.size(path) == len(data) and self._fs.cat_file(path) == data)
            except FileNotFoundError:
                return False

    def _path(self, digest: str) -> str:
        return f"{self._root}/{digest[:2]}/{digest}"
