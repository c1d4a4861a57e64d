"""What topics of a problem there are, and how they differ from what Headrace wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType

from shared.log.kafka_clients import Clients
from shared.log.kafka_topics import PARTITIONED, settings, topic
from shared.messages.streams import CHECKPOINTS, Stream


@dataclass(frozen=True)
class Topic:
    """One topic as it is. `partitions` 0: there is none. `differs`: name to (is, wanted).

    `operations`: what we may do with it, by Kafka's names (`READ`, `WRITE`, ...). `error`: Kafka's
    code, 29 where we may not even look.
    """

    stream: Stream
    name: str
    partitions: int
    replication: int
    differs: Mapping[str, tuple[str, str]]
    values: Mapping[str, str] = field(default_factory=dict)
    operations: frozenset[str] = frozenset()
    error: int = 0


def looked_at(
    clients: Clients, problem: str, partitions: int | None = None, replication: int = -1
) -> list[Topic]:
    """The topics of `problem`, in the order of the streams.

    `partitions` None: as many as `checkpoints` has now, else 1. `replication` -1: any will do.

    Raises:
        Fatal: not allowed. Retryable: no answer.
    """
    names = {stream: topic(problem, stream) for stream in Stream}
    with clients.admin() as admin:
        there = {row["name"]: row for row in admin.describe_topics(list(names.values()))}
        present = [name for name in names.values() if there[name]["partitions"]]
        values = _values(admin, present)
    counts = {name: len(there[name]["partitions"]) for name in names.values()}
    wanted = partitions or counts[names[CHECKPOINTS]] or 1
    return [
        _topic(stream, there[name], values.get(name, {}), wanted, replication)
        for stream, name in names.items()
    ]


def _values(admin: Any, names: list[str]) -> dict[str, dict[str, str]]:
    """Topic to its settings; empty where we may not look."""
    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = admin.describe_configs(asked, config_filter="all").get("topic", {})
    return {
        name: {setting: str(row["value"]) for setting, row in rows.items()}
        for name, rows in found.items()
    }


def _topic(
    stream: Stream,
    row: Mapping[str, Any],
    values: Mapping[str, str],
    wanted: int,
    replication: int,
) -> Topic:
    found = row["partitions"]
    copies = min((len(p["replica_nodes"]) for p in found), default=0)
    differs: dict[str, tuple[str, str]] = {}
    number = wanted if stream in PARTITIONED else 1
    if found and len(found) != number:
        differs["partitions"] = (str(len(found)), str(number))
    if found and replication not in (-1, copies):
        differs["replication"] = (str(copies), str(replication))
    for name, value in settings(stream).items():
        if name in values and values[name] != value:
            differs[name] = (values[name], value)
    operations = frozenset(row.get("authorized_operations") or ())
    return Topic(
        stream, row["name"], len(found), copies, differs, values, operations, row["error_code"]
    )
