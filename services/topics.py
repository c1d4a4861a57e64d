"""`headrace topics create`: what is missing is created; what is there is compared, never changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import wiring
from shared.problem.load import load_problem
from shared.settings import load

if TYPE_CHECKING:  # the client costs a tenth of a second that other commands need not pay
    from shared.log.kafka_plan import Topic


def create(
    problem_file: Path, partitions: int | None, replication: int, dry_run: bool
) -> list[dict[str, Any]]:
    """One row a topic: `topic`, `state` (there, created, missing), `partitions`, `replication`,
    `differs` (setting to what it is and what is wanted).

    `partitions` None: as many as the problem has now, else 1.

    Raises:
        UsageError: no Kafka, or a wrong problem file. Fatal: not allowed. Retryable: no answer.
    """
    from shared.log.kafka_plan import looked_at
    from shared.log.kafka_topics import create_missing

    name = load_problem(problem_file).name
    clients = wiring.open_cluster(load())
    before = looked_at(clients, name, partitions, replication)
    missing = {topic.stream for topic in before if not topic.partitions}
    if dry_run or not missing:
        return [_row(topic, "there" if topic.partitions else "missing") for topic in before]
    there = max((t.partitions for t in before), default=0)
    create_missing(clients, name, missing, replication, partitions or max(1, there))
    after = looked_at(clients, name, partitions, replication)
    return [_row(t, "created" if t.stream in missing else "there") for t in after]


def line(row: dict[str, Any]) -> str:
    """A row as people read it."""
    text = f"{row['state']}, {row['partitions']} partitions, {row['replication']} copies"
    if row["state"] == "missing":
        text = "missing; it would be created"
    for setting, (found, wanted) in row["differs"].items():
        text += f"; {setting} is {found}, wanted is {wanted} (left as it is)"
    return text


def _row(topic: "Topic", state: str) -> dict[str, Any]:
    return {
        "topic": topic.name,
        "state": state,
        "partitions": topic.partitions,
        "replication": topic.replication,
        "differs": {name: list(pair) for name, pair in topic.differs.items()},
    }
