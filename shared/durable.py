"""Files that are whole or absent, whatever dies when: written beside, synced, renamed into place."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp

from shared.errors import Fatal, Retryable

UNFINISHED = ".unfinished-"
"""How the name of a file begins that is being written, or whose writer died."""
_STALE_S = 3_600.0
_NO_USE_TO_RETRY = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})


def write_durably(path: Path, data: bytes, once: bool = False) -> None:
    """Put `data` at `path`, replacing what is there (`once`: leaving it), so that it survives a power
    loss.

    Readers see the old bytes or the new ones, never a part. Also removes what writers left behind
    in this directory that died more than an hour ago (by the file system's clock).

    Raises:
        Fatal: the disk is full, or may not be written.
        Retryable: any other refusal of the file system.
    """
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = mkstemp(prefix=UNFINISHED, dir=path.parent)
        beside = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            _drop_stale(path.parent, beside.stat().st_mtime)
            if once:
                with suppress(FileExistsError):
                    path.hardlink_to(beside)
                beside.unlink()
            else:
                beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)


@contextmanager
def translated(path: Path | str) -> Iterator[None]:
    """Turn the file system's errors into ours.

    Raises:
        Fatal, Retryable: see `write_durably`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_USE_TO_RETRY:
            raise Fatal(
                f"{path} cannot be written: {error.strerror}. Everything acknowledged before is kept. "
                "Make room (or give the right to write there) and run the same command again."
            ) from error
        raise Retryable(f"{path}: {error}") from error


def _drop_stale(directory: Path, now_s: float) -> None:
    for left in directory.glob(f"{UNFINISHED}*"):
        with suppress(FileNotFoundError):  # a writer beside us has just finished
            if left.stat().st_mtime < now_s - _STALE_S:
                left.unlink()


def _sync_directory(directory: Path) -> None:
    """A rename is durable only when the directory is (POSIX leaves it open, ext4 needs it)."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
