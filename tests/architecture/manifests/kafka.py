"""Topics and users of Strimzi: every service may do what it declares, and nothing else."""

from collections.abc import Iterator

from shared.log.kafka_topics import PARTITIONED, settings, topic
from shared.messages.streams import (
    CHECKPOINTS,
    CONTROL,
    EVENTS,
    LABELS,
    OUTCOMES,
    REFERENCES,
    REJECTED,
    Stream,
)
from shared.stage import Service
from tests.architecture.manifests import CLUSTER, NAMESPACE, PARTITIONS, PROBLEM, Manifest, meta

API = "kafka.strimzi.io/v1beta2"
REPLICAS = 3

BY_SHELLS: dict[str, tuple[Stream, ...]] = {
    "console": (
        EVENTS,
        LABELS,
        REFERENCES,
        CONTROL,
    ),  # HTTP scoring and input, operators' commands
    "scheduler": (CONTROL,),  # ticks
    "trainer": (CONTROL,),  # a result is there
}
"""What the shell of a service writes, beside what its stage declares."""
READ_BESIDE: dict[str, tuple[Stream, ...]] = {
    "archiver": tuple(Stream),  # it trims the log, so it looks for what is still needed
    "scorer": (OUTCOMES,),  # how many its model has not learned
}
"""What is read beside what the stage reads."""
TRIMMING = ("archiver",)
"""Who may delete old records (Kafka knows only: from any topic that it may delete)."""
DOCTOR = "doctor"
"""The identity by which every process looks whether it could work (`shared/log/kafka_doctor.py`)."""
MORE_GROUPS = {"collector": ("source",)}
"""Groups beside the service's own."""


def topics() -> Iterator[Manifest]:
    """One KafkaTopic a stream."""
    for stream in Stream:
        name = topic(PROBLEM, stream)
        config = {**settings(stream), "min.insync.replicas": "2"}
        yield {
            "apiVersion": API,
            "kind": "KafkaTopic",
            "metadata": meta(name) | {"labels": {"strimzi.io/cluster": CLUSTER}},
            "spec": {
                "topicName": name,
                "partitions": PARTITIONS if stream in PARTITIONED else 1,
                "replicas": REPLICAS,
                "config": config,
            },
        }


def writes(service: Service) -> list[Stream]:
    """Streams that the process of a service appends to, in the order of the table."""
    wanted = {*service.writes, *BY_SHELLS.get(service.name, ()), CHECKPOINTS}
    if service.build is not None:
        wanted.add(REJECTED)  # by the runner: a record that makes the stage fail
    return [stream for stream in Stream if stream in wanted]


def reads(service: Service) -> list[Stream]:
    """Streams that it reads; its own outputs too, to go on where they end."""
    wanted = {*service.reads, *READ_BESIDE.get(service.name, ()), *writes(service)}
    return [stream for stream in Stream if stream in wanted]


def user(service: Service) -> Manifest:
    """The KafkaUser of a service, known by a client certificate."""
    more = (DOCTOR, *MORE_GROUPS.get(service.name, ()))
    groups = [f"{PROBLEM}.{group}" for group in (service.name, *more)]
    identities = [f"{PROBLEM}.{name}." for name in (service.name, DOCTOR)]
    acls = [
        _acl("topic", f"{PROBLEM}.", "prefix", "Describe", "DescribeConfigs"),
        *(_acl("topic", topic(PROBLEM, s), "literal", "Read") for s in reads(service)),
        *(_acl("topic", topic(PROBLEM, s), "literal", "Write") for s in writes(service)),
        *([_acl("topic", f"{PROBLEM}.", "prefix", "Delete")] * (service.name in TRIMMING)),
        *(_acl("group", group, "literal", "Describe", "Read") for group in groups),
        *(_acl("transactionalId", i, "prefix", "Describe", "Write") for i in identities),
    ]
    return {
        "apiVersion": API,
        "kind": "KafkaUser",
        "metadata": {
            "name": f"{NAMESPACE}-{service.name}",
            "labels": {"strimzi.io/cluster": CLUSTER},
        },
        "spec": {
            "authentication": {"type": "tls"},
            "authorization": {"type": "simple", "acls": acls},
        },
    }


def _acl(kind: str, name: str, pattern: str, *operations: str) -> Manifest:
    resource = {"type": kind, "name": name, "patternType": pattern}
    return {"resource": resource, "operations": list(operations), "host": "*"}
