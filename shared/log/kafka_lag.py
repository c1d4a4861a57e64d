"""How far the groups of a problem are behind, by partition."""

from dataclasses import dataclass
from typing import Any

from kafka import TopicPartition

from shared.log.kafka_clients import Clients, translated
from shared.messages.streams import CHECKPOINTS, Stream, place


@dataclass(frozen=True)
class Standing:
    """One consumer group: its state (Kafka's word), its members, records behind by place."""

    state: str
    members: int
    lag: dict[str, int]


def standings(clients: Clients, problem: str) -> dict[str, Standing]:
    """Group (without the problem's name) to where it stands.

    Lag counts offsets up to the last stable one; markers of transactions take offsets too, so a group
    that is idle and at the end shows 0, one at work shows slightly more than its records.

    Raises:
        Fatal: not allowed. Retryable: no answer.
    """
    with clients.admin() as admin:
        prefix = f"{problem}."
        names = [row["group_id"] for row in admin.list_groups()]
        names = sorted(name for name in names if name.startswith(prefix))
        if not names:
            return {}
        described = admin.describe_groups(names)
        offsets = {name: admin.list_group_offsets([name])[name] for name in names}
    ends = _ends(clients, sorted({tp for found in offsets.values() for tp in found}))
    return {
        name.removeprefix(prefix): Standing(
            str(described[name]["group_state"]),
            len(described[name]["members"]),
            _lag(problem, offsets[name], ends),
        )
        for name in names
    }


def _lag(
    problem: str, offsets: dict[TopicPartition, Any], ends: dict[TopicPartition, int]
) -> dict[str, int]:
    behind = {}
    for tp in sorted(offsets):
        stream = tp.topic.removeprefix(f"{problem}.")
        if stream in set(Stream) - {CHECKPOINTS}:
            name = place(Stream(stream), tp.partition)
            behind[name] = max(0, ends.get(tp, 0) - offsets[tp].offset)
    return behind


def _ends(clients: Clients, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    reader = clients.reader()
    try:
        with translated(f"{clients.servers}: asking where the topics end"):
            found: dict[TopicPartition, int] = reader.end_offsets(partitions)
            return found
    finally:
        reader.close()
