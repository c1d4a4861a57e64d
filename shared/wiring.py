"""URLs to backends: the only file that names one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.archive.port import Archive
from shared.blobs.port import BlobStore
from shared.durable import write_durably
from shared.errors import UsageError
from shared.log.port import Log, LogReader
from shared.problem.spec import Problem
from shared.registry.artefact import Expected, verified
from shared.registry.signing import Signer, Verifier, generate_key
from shared.settings import Settings

_KEY = Path("keys") / "signing.pem"


def open_log(url: str, data_dir: Path, durable: bool = True) -> Log:
    """The log at `url`, by default a SQLite file in `data_dir`.

    Raises:
        UsageError: no such kind of log. DataDirInUse, Fatal: as the backend says.
    """
    scheme, _, rest = (url or f"sqlite:///{data_dir / 'log.db'}").partition("://")
    if scheme == "sqlite":
        from shared.log.sqlite import SqliteLog

        return SqliteLog(Path(rest.removeprefix("/")), durable)  # sqlite:////absolute has four
    if scheme == "memory":
        from shared.log.memory import MemoryLog

        return MemoryLog()
    raise UsageError(
        f"HEADRACE_LOG={url}: there is no log of the kind {scheme!r}; write sqlite:///path or memory://"
    )


def open_reader(data_dir: Path) -> LogReader:
    """The log of a run for reading only, also while the run is live."""
    from shared.log.sqlite import SqliteReader

    return SqliteReader(data_dir / "log.db")


def open_blobs(url: str, data_dir: Path) -> BlobStore:
    """The blob store at `url`, by default a directory in `data_dir`."""
    if url.startswith("memory://"):
        from shared.blobs.memory import MemoryBlobs

        return MemoryBlobs()
    from shared.blobs.directory import DirectoryBlobs

    return DirectoryBlobs(url or f"file://{(data_dir / 'blobs').resolve()}")


def open_archive(data_dir: Path, problem: Problem) -> Archive:
    """The Parquet archive of a run."""
    from shared.archive.parquet import ParquetArchive

    return ParquetArchive(data_dir / "archive", problem)


@dataclass(frozen=True)
class Keys:
    """This process's signing key, and what it trusts."""

    signer: Signer
    verifier: Verifier


def open_keys(settings: Settings, data_dir: Path) -> Keys:
    """The signing key of the settings, else one of the data directory, made on first use (0600)."""
    path = settings.signing_key or data_dir / _KEY
    if not path.exists():
        write_durably(path, generate_key())
        path.chmod(0o600)
    signer = Signer(path.read_bytes())
    return Keys(signer, Verifier([signer.public]))


def verifying(
    blobs: BlobStore, keys: Keys, problem: str
) -> Callable[[str, Mapping[str, Any]], bytes]:
    """`Tools.verified`: the bytes of an artefact once size, digest and signature are right."""

    def check(digest: str, manifest: Mapping[str, Any]) -> bytes:
        return verified(blobs.get(digest), manifest, keys.verifier, Expected(problem=problem))

    return check
