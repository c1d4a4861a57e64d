"""The topics of a problem: `{problem}.{stream}`, one partition each for now."""

from collections.abc import Iterable, Mapping

from kafka import TopicPartition, errors

from shared.log.kafka_clients import Clients
from shared.messages.streams import CHECKPOINTS, Stream

_ANY_TIME = str((1 << 63) - 1)
_PLAIN = {
    # A record goes when `trim` says so, never by its age: a replay of old events would be gone at once.
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "segment.ms": _ANY_TIME,  # cut files by size: years of events can pass in a minute of replay
    # Timestamps are kept as they were given. Bounds on them would let one wrong clock stop everything:
    # the broker refuses the record, and with it the whole transaction, for ever.
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": _ANY_TIME,
    "message.timestamp.after.max.ms": _ANY_TIME,
}
_COMPACTED = {
    **_PLAIN,
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.1",
    "message.timestamp.type": "LogAppendTime",
    "segment.bytes": str(16 << 20),
}


def topic(problem: str, stream: Stream) -> str:
    """The topic of a stream."""
    return f"{problem}.{stream}"


def partition(problem: str, stream: Stream) -> TopicPartition:
    """The one partition of a stream."""
    return TopicPartition(topic(problem, stream), 0)


def settings(stream: Stream) -> Mapping[str, str]:
    """Topic settings of a stream."""
    return _COMPACTED if stream is CHECKPOINTS else _PLAIN


def create_missing(
    clients: Clients, problem: str, streams: Iterable[Stream] = Stream, replication: int = -1
) -> list[str]:
    """Create what is not there yet (`replication` -1: the broker's default); the names created.

    Raises:
        Fatal: not allowed, or a topic has more than one partition. Retryable: no answer.
    """
    with clients.admin() as admin:
        there = set(admin.list_topics())
        wanted = {
            topic(problem, stream): {
                "num_partitions": 1,
                "replication_factor": replication,
                "configs": dict(settings(stream)),
            }
            for stream in streams
            if topic(problem, stream) not in there
        }
        if wanted:
            try:
                admin.create_topics(wanted, wait_for_metadata=True)
            except errors.TopicAlreadyExistsError:  # somebody else was as quick
                admin.wait_for_topics(list(wanted))
    return list(wanted)
