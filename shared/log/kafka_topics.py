"""The topics of a problem: `{problem}.{stream}`.

The way of an event to its prediction scales with partitions: those topics have P each, and so has
`checkpoints`, whose partition p holds the state of whoever works on their partitions p. All others
have one: decisions, outcomes and references are one totally ordered sequence for a problem.
"""

from collections.abc import Iterable, Mapping

from kafka import TopicPartition, errors

from shared.errors import Fatal
from shared.log.kafka_clients import Clients, translated
from shared.messages.streams import (
    CHECKPOINTS,
    EVENTS,
    FEATURES,
    PREDICTIONS,
    REFERENCES,
    VALID,
    Stream,
    place,
)

PARTITIONED = frozenset({EVENTS, VALID, FEATURES, PREDICTIONS, CHECKPOINTS})
"""Streams with P partitions each."""

DELETIONS_KEPT_MS = 300_000
"""Whoever reads a compacted topic must be through, or have caught up, within that time: later he would
take for present what was deleted. See `kafka_committed.py`."""
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
    "segment.bytes": str(1 << 20),  # the newest is never compacted, and every start reads it
    # By default a day of deletions is kept, and read at every start: half a million in half an hour.
    "delete.retention.ms": str(DELETIONS_KEPT_MS),
}
_REFERENCES = {
    **_PLAIN,
    # Never trimmed: whoever begins anew reads it from the start. A key is one version (see
    # `reference_key`), so only what was corrected goes, and not before everybody is past it.
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": str(7 * 24 * 3_600_000),
    "segment.bytes": str(1 << 24),
}
_SETTINGS = {CHECKPOINTS: _COMPACTED, REFERENCES: _REFERENCES}


def topic(problem: str, stream: Stream) -> str:
    """The topic of a stream."""
    return f"{problem}.{stream}"


class Places:
    """Places (`shared/log/port.py`) to partitions, as one worker sees them.

    `own`: the partition that it works on, of the partitioned streams; None: it reads all of them, and
    writes to partition 0 only. That is for work which needs the whole problem in one place.
    """

    def __init__(self, problem: str, partitions: int = 1, own: int | None = None) -> None:
        self.partitions = partitions
        self._problem = problem
        self._own = own

    @property
    def token(self) -> TopicPartition:
        """The partition of `checkpoints` that holds the worker's state."""
        return self.at(self.written(CHECKPOINTS))

    def read(self, stream: Stream) -> list[str]:
        """The places of `stream` that are read."""
        if stream not in PARTITIONED:
            return [place(stream)]
        own = range(self.partitions) if self._own is None else [self._own]
        return [place(stream, partition) for partition in own]

    def written(self, stream: Stream) -> str:
        """The place that a numbered stream is written to."""
        return place(stream, (self._own or 0) if stream in PARTITIONED else 0)

    def at(self, name: str) -> TopicPartition:
        """The partition of a place."""
        stream, _, partition = name.partition("/")
        return TopicPartition(f"{self._problem}.{stream}", int(partition or 0))

    def all(self) -> list[TopicPartition]:
        """Every partition of the problem."""
        return [
            TopicPartition(topic(self._problem, stream), partition)
            for stream in Stream
            for partition in range(self.partitions if stream in PARTITIONED else 1)
        ]


def settings(stream: Stream) -> Mapping[str, str]:
    """Topic settings of a stream."""
    return _SETTINGS.get(stream, _PLAIN)


def create_missing(
    clients: Clients,
    problem: str,
    streams: Iterable[Stream] = Stream,
    replication: int = -1,
    partitions: int = 1,
) -> list[str]:
    """Create what is not there yet (`replication` -1: the broker's default); the names created.

    Raises:
        Fatal: not allowed. Retryable: no answer.
    """
    with clients.admin() as admin:
        there = set(admin.list_topics())
        wanted = {
            topic(problem, stream): {
                "num_partitions": partitions if stream in PARTITIONED else 1,
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


def count_partitions(clients: Clients, problem: str) -> int:
    """P, the number of partitions of the partitioned topics.

    Raises:
        Fatal: a topic is missing, or they differ. Retryable: no answer.
    """
    reader = clients.reader()
    try:
        with translated(f"{clients.servers}: asking for partitions"):
            counts = {
                topic(problem, stream): len(
                    reader.partitions_for_topic(topic(problem, stream)) or ()
                )
                for stream in Stream
            }
    finally:
        reader.close()
    wanted = counts[topic(problem, CHECKPOINTS)]
    wrong = {
        name: count
        for stream in Stream
        if (count := counts[name := topic(problem, stream)])
        != (wanted if stream in PARTITIONED else 1)
    }
    if wrong or not wanted:
        raise Fatal(
            f"Kafka at {clients.servers}: the topics of `{problem}` do not fit together: "
            f"{topic(problem, CHECKPOINTS)} has {wanted} partitions, and these have another number: "
            f"{wrong} (0: there is no such topic). `headrace topics create` makes what is missing; the "
            "number of partitions of a running problem cannot be changed."
        )
    return wanted
