"""The rights in k8s/base/kafka/users.yaml are enough: all services work under them, on a real broker.

Each service is a user of its own, who may do what its KafkaUser says and nothing else.
"""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, running
# isort: on

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)

from services import discover
from shared.log.kafka_clients import Clients
from tests.architecture.manifests import PROBLEM
from tests.architecture.test_deploy_manifests import BASE
from tests.kit.cluster import Cluster, Producing, Watching, half_hours
from tests.kit.kafka_secure import SecureBroker

__all__ = ["collected"]
pytestmark = [pytest.mark.slow, *LEAKS]
ROWS = 300
OPERATIONS = {"DescribeConfigs": "DESCRIBE_CONFIGS"}
KINDS = {"topic": "TOPIC", "group": "GROUP", "transactionalId": "TRANSACTIONAL_ID"}
PATTERNS = {"literal": "LITERAL", "prefix": "PREFIXED"}
USERS = {
    user["metadata"]["name"]: user["spec"]["authorization"]["acls"]
    for user in yaml.safe_load_all((BASE / "kafka/users.yaml").read_text())
}


def acls(user: str) -> list[Any]:
    """A KafkaUser's rights as the broker takes them."""
    return [
        ACL(
            f"User:{user}",
            "*",
            ACLOperation[OPERATIONS.get(operation, operation.upper())],
            ACLPermissionType.ALLOW,
            ResourcePattern(
                ResourceType[KINDS[right["resource"]["type"]]],
                right["resource"]["name"],
                ACLResourcePatternType[PATTERNS[right["resource"]["patternType"]]],
            ),
        )
        for right in USERS[user]
        for operation in right["operations"]
    ]


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    folder = tmp_path_factory.mktemp("broker")
    with running(lambda: SecureBroker(folder, list(USERS))) as found:
        yield found


def test_every_service_works_with_the_rights_of_its_user(
    broker: SecureBroker, tmp_path: Path
) -> None:
    cluster = Cluster(broker.address, PROBLEM, tmp_path)
    with Clients(broker.address).admin() as admin:
        for user in USERS:
            admin.create_acls(acls(user))
    names = [service.name for service in discover()]
    for name in names:
        cluster.settings = {
            "HEADRACE_LOG": f"kafka://{broker.at['sasl']}",
            "HEADRACE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "HEADRACE_KAFKA_SASL_MECHANISM": "PLAIN",
            "HEADRACE_KAFKA_SASL_PLAIN_USERNAME": f"headrace-{name}",
            "HEADRACE_KAFKA_SASL_PLAIN_PASSWORD": "right",
        }
        cluster.start(name)
    try:
        watching = Watching(broker.address, f"{PROBLEM}.outcomes")
        watching.start()
        producing = Producing(broker.address, PROBLEM, half_hours(ROWS), 400.0)
        producing.start()
        watching.wait(ROWS, 240, cluster)
        time.sleep(6)  # lag and freshness are measured every five seconds
        assert not cluster.ended()
        refused = {name for name in names if "uthoriz" in cluster.said(name)}
        assert not refused, cluster.said(next(iter(refused)))
    finally:
        codes = cluster.stop()
    assert set(codes.values()) == {0}, codes
