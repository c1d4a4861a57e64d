"""Making kafka-python's clients: one place for settings, timeouts, and what its errors mean to us."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from shared.errors import Fatal, Fenced, Retryable, UsageError

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_PASSED = {
    *("security_protocol", "proxy_url", "compression_type"),
    *("ssl_check_hostname", "ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile"),
    *("ssl_password", "ssl_ciphers", "sasl_mechanism", "sasl_plain_username"),
    *("sasl_plain_password", "sasl_kerberos_name", "sasl_kerberos_service_name"),
    "sasl_kerberos_domain_name",
}
_FENCED = (
    errors.ProducerFencedError,
    errors.InvalidProducerEpochError,
    errors.FencedInstanceIdError,
)
_HOPELESS = (
    errors.InvalidProducerIdMappingError,  # R11: the broker forgot who we are, and can fence nobody
    errors.AuthorizationError,
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedVersionError,
    errors.KafkaConfigurationError,
)
_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)


@dataclass(frozen=True)
class Timeouts:
    """Seconds (R8). request < delivery < transaction: what is given up is given up in time."""

    request_s: float = 5
    delivery_s: float = 7
    transaction_s: float = 8
    session_s: float = 6
    block_s: float = 8

    def __post_init__(self) -> None:
        if not self.request_s < self.delivery_s < self.transaction_s:
            raise UsageError(f"Kafka timeouts must hold request < delivery < transaction: {self}")


class Clients:
    """Makes clients of one cluster. `options`: TLS, SASL and the like, by kafka-python's names.

    Raises:
        UsageError: an option that is not known.
    """

    def __init__(
        self,
        servers: str,
        options: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.servers = servers
        self.timeouts = timeouts or Timeouts()
        unknown = sorted(set(options or ()) - _PASSED)
        if unknown:
            raise UsageError(f"unknown Kafka settings {unknown}; there are: {sorted(_PASSED)}")
        self._options = {name: _typed(name, value) for name, value in (options or {}).items()}

    def producer(self, transactional_id: str) -> Any:
        """A producer that is alone under its id: older ones are fenced, their transaction is over."""
        with translated(f"{self.servers}: opening the producer {transactional_id}"):
            producer = KafkaProducer(
                **self._shared(),
                metrics_enabled=False,
                transactional_id=transactional_id,
                transaction_timeout_ms=_ms(self.timeouts.transaction_s),
                delivery_timeout_ms=_ms(self.timeouts.delivery_s),
                max_block_ms=_ms(self.timeouts.block_s),
                compression_type=self._options.get("compression_type"),
                batch_size=1 << 18,
                retry_backoff_ms=20,
                allow_auto_create_topics=False,
            )
            # A fenced producer that "recovers" by raising its epoch aborts the transaction of its
            # successor, and one that does so while committing reports success for what the broker
            # has aborted. Without this ability both are plain fatal errors.
            producer._transaction_manager._supports_epoch_bump = lambda: False
            try:
                producer.init_transactions()
            except BaseException:
                drop(producer)
                raise
        return producer

    def reader(self, isolation: str = "read_committed") -> Any:
        """A consumer outside any group, for partitions and offsets of our choice."""
        with translated(f"{self.servers}: opening a reader"):
            return KafkaConsumer(
                **self._shared(),
                metrics_enabled=False,
                group_id=None,
                isolation_level=isolation,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                # Asked only for what is known to be there, so there is nothing to wait for; a fetch
                # that waits at the end of one topic would hold up the next one.
                fetch_max_wait_ms=10,
                retry_backoff_ms=20,
                max_partition_fetch_bytes=4 << 20,
            )

    def member(self, group_id: str, instance: str) -> Any:
        """A consumer that is here to be a member of its group, and to be fenced as one."""
        with translated(f"{self.servers}: joining the group {group_id}"):
            return KafkaConsumer(
                **self._shared(),
                metrics_enabled=False,
                group_id=group_id,
                group_instance_id=instance,
                isolation_level="read_committed",
                enable_auto_commit=False,
                partition_assignment_strategy=[CooperativeStickyAssignor],
                session_timeout_ms=_ms(self.timeouts.session_s),
                heartbeat_interval_ms=_ms(self.timeouts.session_s / 4),
            )

    @contextmanager
    def admin(self) -> Iterator[Any]:
        """A client for topics; closed at the end of the block."""
        with translated(f"{self.servers}: looking after topics"):
            client = KafkaAdminClient(**self._shared())
            try:
                yield client
            finally:
                client.close()

    def high_watermark(self, partition: TopicPartition) -> int:
        """One past the newest record, also of open transactions."""
        reader = self.reader("read_uncommitted")
        try:
            with translated(f"{self.servers}: asking for the end of {partition.topic}"):
                return int(reader.end_offsets([partition])[partition])
        finally:
            reader.close()

    def _shared(self) -> dict[str, Any]:
        secure = {
            name: value for name, value in self._options.items() if name != "compression_type"
        }
        return {
            "bootstrap_servers": self.servers.split(","),
            "request_timeout_ms": _ms(self.timeouts.request_s),
            "bootstrap_timeout_ms": _ms(self.timeouts.block_s),
            "reconnect_backoff_max_ms": 1_000,
            **secure,
        }


def drop(producer: Any) -> None:
    """Let go of a producer at once, whatever it is doing.

    `close(timeout=0)` alone raises while records are under way and leaves the sending thread alive.
    """
    producer._sender.force_close()
    producer._accumulator.abort_incomplete_batches()
    with suppress(errors.KafkaError):
        producer.close(timeout=0)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """kafka-python's errors as ours.

    Raises:
        Fenced, Fatal, Retryable: see `shared/errors.py`.
    """
    try:
        yield
    except errors.KafkaError as error:
        cause = _root(error)
        what = f"Kafka, {doing}: {type(cause).__name__}: {cause}"
        if isinstance(cause, _FENCED):
            raise Fenced(
                f"{what}. A newer instance with the same identity has taken over."
            ) from error
        if isinstance(cause, _TOO_LARGE):
            raise Fatal(
                f"{what}. One record is larger than the topic takes: raise max.message.bytes of the "
                "topic and message.max.bytes of the broker, or keep large state in blobs."
            ) from error
        if isinstance(cause, _HOPELESS):
            raise Fatal(what) from error
        raise Retryable(what) from error


def _root(error: BaseException) -> BaseException:
    """The client wraps the first error of a transaction in the arguments of the later ones."""
    for argument in error.args:
        if isinstance(argument, errors.KafkaError):
            return _root(argument)
    return error


def _typed(name: str, value: str) -> Any:
    if name != "ssl_check_hostname":
        return value
    if value.lower() not in _TRUTH:
        raise UsageError(f"Kafka setting {name}={value}: write true or false")
    return _TRUTH[value.lower()]


def _ms(seconds: float) -> int:
    return int(seconds * 1_000)
