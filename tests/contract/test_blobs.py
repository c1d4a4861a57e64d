"""One suite for every blob backend."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.blobs.directory import DirectoryBlobs
from shared.blobs.memory import MemoryBlobs
from shared.blobs.port import BlobStore
from shared.errors import Fatal, Retryable, UntrustedArtefact

BACKENDS: dict[str, Callable[[Path], BlobStore]] = {
    "memory": lambda path: MemoryBlobs(),
    "directory": lambda path: DirectoryBlobs(f"file://{path}/blobs"),
    "object-store": lambda path: DirectoryBlobs(f"memory://{uuid4().hex}"),
}


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    yield BACKENDS[request.param](tmp_path)


def test_what_was_put_is_got(store: BlobStore) -> None:
    for data in (b"", b"\x00\xff" * 1000, b"x"):
        digest = store.put(data)
        assert digest == sha256(data).hexdigest()
        assert store.get(digest) == data
    assert len(set(store.digests())) == 3


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(st.binary(max_size=100), max_size=10))
def test_the_same_bytes_are_one_blob(store: BlobStore, values: list[bytes]) -> None:
    before = set(store.digests())
    digests = [store.put(value) for value in values * 2]
    assert sorted(store.digests()) == sorted(before | set(digests))
    assert [store.get(digest) for digest in digests] == values * 2


def test_a_missing_blob_is_worth_a_retry(store: BlobStore) -> None:
    with pytest.raises(Retryable, match="not there"):
        store.get(sha256(b"never").hexdigest())


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "AB" * 32, "ab" * 31, "ab" * 32 + "\n"])
def test_a_name_that_is_no_digest_never_reaches_a_path(store: BlobStore, name: str) -> None:
    with pytest.raises(UntrustedArtefact):
        store.get(name)
    with pytest.raises(UntrustedArtefact):
        store.delete(name)


def test_deleted_is_gone_and_may_come_back(store: BlobStore) -> None:
    digest, other = store.put(b"one"), store.put(b"two")
    store.delete(digest)
    store.delete(digest)
    assert list(store.digests()) == [other]
    with pytest.raises(Retryable):
        store.get(digest)
    assert store.get(store.put(b"one")) == b"one"


def test_any_flipped_bit_is_refused_and_put_mends_it(store: BlobStore) -> None:
    data = b"weights"
    digest = store.put(data)
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        _overwrite(store, digest, bytes(damaged))
        with pytest.raises(UntrustedArtefact, match=digest):
            store.get(digest)
    _overwrite(store, digest, data[:-1])
    with pytest.raises(UntrustedArtefact):
        store.get(digest)
    store.put(data)
    assert store.get(digest) == data


def test_writers_of_the_same_blob_do_not_disturb_each_other(store: BlobStore) -> None:
    data = bytes(range(256)) * 4_000
    threads = [Thread(target=store.put, args=(data,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get(sha256(data).hexdigest()) == data
    assert len(list(store.digests())) == 1


def test_a_directory_keeps_its_blobs_for_the_next_process(tmp_path: Path) -> None:
    digest = DirectoryBlobs(f"file://{tmp_path}/blobs").put(b"kept")
    assert DirectoryBlobs(f"file://{tmp_path}/blobs").get(digest) == b"kept"


def test_a_writer_that_dies_leaves_no_blob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryBlobs(f"file://{tmp_path}")

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shared.durable.os.fsync", die)
        with pytest.raises(KeyboardInterrupt):
            store.put(b"half")
    assert list(store.digests()) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_full_disk_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shared.durable.os.fsync", full)
    with pytest.raises(Fatal, match="No space left"):
        DirectoryBlobs(f"file://{tmp_path}").put(b"too much")


def test_what_dead_writers_left_is_cleared_when_it_is_old(tmp_path: Path) -> None:
    import os

    store = DirectoryBlobs(f"file://{tmp_path}")
    folder = tmp_path / sha256(b"new").hexdigest()[:2]
    folder.mkdir()
    old, young = folder / ".unfinished-old", folder / ".unfinished-young"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (1, 1))
    store.put(b"new")
    assert not old.exists()
    assert young.exists()
    assert list(store.digests()) == [sha256(b"new").hexdigest()]


def _overwrite(store: BlobStore, digest: str, data: bytes) -> None:
    if isinstance(store, MemoryBlobs):
        store._held[digest] = data
        return
    assert isinstance(store, DirectoryBlobs)
    fs: fsspec.AbstractFileSystem = store._fs
    fs.pipe_file(store._path(digest), data)
