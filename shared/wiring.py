"""URLs to backends: the only file that names one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.archive.port import Archive
from shared.blobs.port import BlobStore
from shared.durable import write_durably
from shared.errors import Fatal, UsageError
from shared.finding import Finding
from shared.log.port import Log, LogReader
from shared.messages.streams import CONTROL, JOBS, MODELS, RAW, REJECTED, Stream
from shared.messages.types import Job, ModelEvent
from shared.online.port import Online
from shared.problem.spec import Problem
from shared.registry.artefact import Expected, cleared, verified
from shared.registry.decisions import signed_by
from shared.registry.signing import Signer, Verifier, generate_key, public_keys
from shared.settings import Settings
from shared.stage import Verify

if TYPE_CHECKING:  # the client costs a tenth of a second that a run without Kafka need not pay
    from shared.log.kafka_clients import Clients
    from shared.log.kafka_seat import Seat

SHARED = RAW | {CONTROL, REJECTED, JOBS, MODELS}
"""Streams with several writers: on Kafka their offsets are Kafka's own."""
KEY = Path("keys") / "signing.pem"
"""Of a process without a key of its own, in its data directory."""


def open_log(settings: Settings, data_dir: Path, problem: str, service: str = "run") -> Log:
    """The log of a process that has the whole problem to itself, by default SQLite in `data_dir`.

    On Kafka two processes of the same `service` fence each other; a command beside a run has a name of
    its own.

    Raises:
        UsageError: no such kind of log. DataDirInUse, Fatal, Retryable: as the backend says.
    """
    scheme, rest = _log_url(settings, data_dir)
    if scheme == "sqlite":
        from shared.log.sqlite import SqliteLog

        return SqliteLog(Path(rest), settings.durable)
    if scheme == "memory":
        from shared.log.memory import MemoryLog

        return MemoryLog()
    from shared.log.kafka_log import KafkaLog

    return KafkaLog.opened(_clients(settings, rest), problem, service, foreign=SHARED)


def open_reader(settings: Settings, data_dir: Path, problem: str) -> LogReader:
    """A log for reading only, also while a run is live.

    Raises:
        UsageError: there is none, or no such kind. Fatal, Retryable: as the backend says.
    """
    scheme, rest = _log_url(settings, data_dir)
    if scheme == "sqlite":
        from shared.log.sqlite_reader import SqliteReader

        return SqliteReader(Path(rest))
    if scheme == "memory":
        raise UsageError("HEADRACE_LOG=memory://: such a log can be read by its own process only")
    from shared.log.kafka_reader import KafkaReader
    from shared.log.kafka_topics import Places, count_partitions

    clients = _clients(settings, rest)
    places = Places(problem, count_partitions(clients, problem))
    return KafkaReader(clients, places, SHARED)


def standings(settings: Settings, problem: str) -> dict[str, Any]:
    """What a log that is shared knows of its groups: `{"groups": {name: state, members, lag}}`.

    Raises:
        Fatal, Retryable: as the backend says.
    """
    scheme, _, rest = settings.log.partition("://")
    if scheme != "kafka":
        return {}
    from shared.log import kafka_lag

    found = kafka_lag.standings(_clients(settings, rest), problem)
    return {"groups": {name: asdict(standing) for name, standing in found.items()}}


def open_cluster(settings: Settings) -> "Clients":
    """Clients of the Kafka cluster that the settings name.

    Raises:
        UsageError: they name none.
    """
    scheme, _, rest = settings.log.partition("://")
    if scheme != "kafka" or not rest:
        raise UsageError(
            f"HEADRACE_LOG={settings.log or '(not set)'}: this needs Kafka; write "
            "HEADRACE_LOG=kafka://host:port,host:port"
        )
    return _clients(settings, rest)


def log_refusal(
    settings: Settings,
    problem: str,
    reads: Iterable[Stream],
    writes: Iterable[Stream],
    quick: bool = False,
) -> Fatal | None:
    """Why a process that reads and writes these streams of a shared log cannot work, with the mend.

    Takes at most 10 s; `quick`, at the start, some tenths of a second where all is well. None: nothing
    was found, or the log is not shared.
    """
    scheme, _, rest = settings.log.partition("://")
    if scheme != "kafka":
        return None
    from shared.log import kafka_doctor

    wanted = kafka_doctor.needs(reads, writes)
    return kafka_doctor.refusal(rest, settings.kafka, problem, wanted, quick)


def examined_log(settings: Settings, problem: str, now_ms: Callable[[], int]) -> Iterator[Finding]:
    """What is wrong with a shared log, and what is well; nothing for another."""
    scheme, _, rest = settings.log.partition("://")
    if scheme == "kafka":
        from shared.log import kafka_doctor

        yield from kafka_doctor.examined(
            rest, settings.kafka, problem, kafka_doctor.needs(), now_ms
        )


def examined_online(settings: Settings) -> Iterator[Finding]:
    """The same for the online view, where it is a server."""
    if settings.online.startswith(("redis://", "rediss://")):
        from shared.online import redis_doctor

        yield from redis_doctor.examined(settings.online)


def open_seat(settings: Settings, problem: str, service: str, instance: str) -> "Seat":
    """The place of one of several processes at the problem's log.

    Raises:
        UsageError: the log cannot be shared by processes. Fatal: topics are missing or do not fit.
    """
    scheme, _, rest = settings.log.partition("://")
    if scheme != "kafka":
        raise UsageError(
            f"HEADRACE_LOG={settings.log or '(not set)'}: services as processes of their own need "
            "Kafka; write kafka://host:port. On one machine `headrace run` does without."
        )
    from shared.log.kafka_seat import Seat
    from shared.log.kafka_topics import count_partitions

    clients = _clients(settings, rest)
    return Seat(clients, problem, service, instance, count_partitions(clients, problem))


def open_share(seat: "Seat", partition: int | None) -> Log:
    """What one worker of the process reads and writes: one partition, or (None) the whole problem."""
    from shared.log.kafka_log import KafkaLog

    return KafkaLog.of_worker(seat, partition, SHARED)


def _log_url(settings: Settings, data_dir: Path) -> tuple[str, str]:
    """Scheme and rest of the log's URL; a path as it is to be opened."""
    url = settings.log or f"sqlite:///{data_dir / 'log.db'}"
    scheme, _, rest = url.partition("://")
    if scheme not in ("sqlite", "memory", "kafka"):
        raise UsageError(
            f"HEADRACE_LOG={url}: there is no log of the kind {scheme!r}; write sqlite:///path, "
            "kafka://host:port or memory://"
        )
    return scheme, rest.removeprefix("/") if scheme == "sqlite" else rest  # sqlite:////absolute


def _clients(settings: Settings, servers: str) -> "Clients":
    from shared.log.kafka_clients import Clients

    return Clients(servers, settings.kafka)


def open_blobs(url: str, data_dir: Path) -> BlobStore:
    """The blob store at `url`, by default a directory in `data_dir`."""
    if url.startswith("memory://"):
        from shared.blobs.memory import MemoryBlobs

        return MemoryBlobs()
    from shared.blobs.directory import DirectoryBlobs

    return DirectoryBlobs(url or f"file://{(data_dir / 'blobs').resolve()}")


def open_online(url: str, data_dir: Path, problem: str, most: int) -> Online:
    """The online view at `url`, by default SQLite in `data_dir`.

    `most`: of how many offsets of a partition predictions are kept.

    Raises:
        UsageError: no such kind, or a URL that cannot be understood. Fatal, Retryable: see the port.
    """
    scheme, _, rest = (url or f"sqlite:///{data_dir / 'online.db'}").partition("://")
    if scheme == "memory":
        from shared.online.memory import MemoryOnline

        return MemoryOnline(most)
    if scheme == "sqlite":
        from shared.online.sqlite import SqliteOnline

        return SqliteOnline(Path(rest.removeprefix("/")), most)
    if scheme in ("redis", "rediss"):
        from shared.online.redis_store import RedisOnline

        return RedisOnline(url, problem, most)
    raise UsageError(
        f"HEADRACE_ONLINE={url}: there is no online view of the kind {scheme!r}; write "
        "redis://host:6379/0, rediss://host:6380/0, sqlite:///path or memory://"
    )


def open_archive(data_dir: Path, problem: Problem) -> Archive:
    """The Parquet archive of a run."""
    from shared.archive.parquet import ParquetArchive

    return ParquetArchive(data_dir / "archive", problem)


@dataclass(frozen=True)
class Keys:
    """This process's signing key, and what it trusts: that key, and those of `trusted_keys`, but for
    the revoked ones.
    """

    signer: Signer
    verifier: Verifier

    def trusted(self, record: ModelEvent | Job) -> str:
        """`Tools.trusted`: the id of the key that signed exactly this record."""
        return signed_by(record, self.verifier)


def open_keys(settings: Settings, data_dir: Path) -> Keys:
    """The signing key of the settings, else one of the data directory, made on first use (0600).

    Raises:
        Fatal: a key cannot be read. UsageError: the signing key itself is revoked.
    """
    path = settings.signing_key or data_dir / KEY
    if not path.exists():
        write_durably(path, generate_key(), once=True)  # of two that start, one makes it
    signer = Signer(path.read_bytes())
    if signer.key_id in settings.revoked:
        raise UsageError(
            f"the signing key {signer.key_id} ({path}) is among HEADRACE_REVOKED_KEYS: make a new one "
            "(`openssl genpkey -algorithm ed25519 -out signing.pem`) and name it in "
            "HEADRACE_SIGNING_KEY"
        )
    return Keys(signer, Verifier([signer.public, *_others(settings)], settings.revoked))


def _others(settings: Settings) -> list[bytes]:
    """The public keys that are trusted beside our own."""
    if settings.trusted_keys is None:
        return []
    try:
        return public_keys(settings.trusted_keys.read_bytes())
    except OSError as error:
        raise UsageError(
            f"HEADRACE_TRUSTED_KEYS={settings.trusted_keys} cannot be read ({error.strerror}): name a "
            "file with public keys in PEM form, or leave it out"
        ) from error


def verifying(blobs: BlobStore, verifier: Verifier, problem: Problem) -> Verify:
    """`Tools.verified`: an artefact once size, digest, signature and identity are right."""
    features = problem.model_names

    def check(digest: str, manifest: Mapping[str, Any], version: str) -> bytes:
        expected = Expected(problem.name, version, features)
        cleared(manifest, verifier, expected)  # before a blob is asked for that may never come
        return verified(blobs.get(digest), manifest, verifier, expected)

    return check
