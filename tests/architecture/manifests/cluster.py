"""What all services share: namespace, settings, storage, and who may talk to whom."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.stage import Service
from tests.architecture.manifests import (
    CLUSTER,
    IMAGE,
    NAMESPACE,
    PORT,
    PROBLEM,
    Manifest,
    labels,
    meta,
)

PROBLEM_FILE = Path(__file__).resolve().parents[3] / f"examples/{PROBLEM}/problem.yaml"
OPEN = ("collector", "console")
"""Services that others call over HTTP."""
ONLINE = ("console",)
"""Services that use Redis."""
_ALL = {"matchLabels": {"app.kubernetes.io/part-of": "headrace"}}
SETTINGS = {
    "HEADRACE_LOG": f"kafka://{CLUSTER}-kafka-bootstrap:9093",
    "HEADRACE_KAFKA_SECURITY_PROTOCOL": "SSL",
    "HEADRACE_KAFKA_SSL_CAFILE": "/etc/kafka-ca/ca.crt",
    "HEADRACE_KAFKA_SSL_CERTFILE": "/etc/kafka-user/user.crt",
    "HEADRACE_KAFKA_SSL_KEYFILE": "/etc/kafka-user/user.key",
    "HEADRACE_ONLINE": "redis://redis:6379/0",
    "HEADRACE_BLOBS": "file:///var/lib/headrace/blobs",
    "HEADRACE_SIGNING_KEY": "/etc/headrace-key/signing.pem",
}


def common() -> Iterator[Manifest]:
    """Namespace, problem file, settings, the shared volume of blobs."""
    restricted = {f"pod-security.kubernetes.io/{m}": "restricted" for m in ("enforce", "warn")}
    yield {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": restricted},
    }
    yield {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta("headrace-problem"),
        "data": {"problem.yaml": PROBLEM_FILE.read_text()},
    }
    yield {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta("headrace-settings"),
        "data": SETTINGS,
    }
    yield {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": meta("headrace-blobs"),
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "10Gi"}},
        },
    }


def network(services: Sequence[Service]) -> Iterator[Manifest]:
    """Nothing flows but what is named here. Brokers are Strimzi's to guard."""
    yield _policy("default-deny", _ALL, ["Ingress", "Egress"])
    dns = [{"protocol": p, "port": 53} for p in ("UDP", "TCP")]
    brokers = {"podSelector": {"matchLabels": {"strimzi.io/cluster": CLUSTER}}}
    names = [service.name for service in services]
    yield _policy(
        "to-name-service-and-kafka",
        _among(names),
        ["Egress"],
        egress=[
            {"to": [{"namespaceSelector": _named("kube-system")}], "ports": dns},
            {"to": [brokers], "ports": [{"protocol": "TCP", "port": 9093}]},
        ],
    )
    port = [{"protocol": "TCP", "port": PORT}]
    yield _policy(
        "metrics",
        _among(names),
        ["Ingress"],
        ingress=[{"from": [{"namespaceSelector": _named("monitoring")}], "ports": port}],
    )
    clients = {"namespaceSelector": {"matchLabels": {"headrace/client": "true"}}}
    yield _policy("http", _among(OPEN), ["Ingress"], ingress=[{"from": [clients], "ports": port}])
    redis = [{"protocol": "TCP", "port": 6379}]
    store = {"podSelector": {"matchLabels": labels("redis")}}
    yield _policy("to-redis", _among(ONLINE), ["Egress"], egress=[{"to": [store], "ports": redis}])
    users = {"podSelector": _among(ONLINE)}
    yield _policy(
        "redis",
        {"matchLabels": labels("redis")},
        ["Ingress"],
        ingress=[{"from": [users], "ports": redis}],
    )


def kustomization(resources: Sequence[str]) -> Manifest:
    """The base."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": list(resources),
        "images": [{"name": IMAGE, "newName": IMAGE, "newTag": "0.1.0"}],
    }


def _policy(name: str, pods: Manifest, types: list[str], **rules: object) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta(name),
        "spec": {"podSelector": pods, "policyTypes": types, **rules},
    }


def _among(names: Sequence[str]) -> Manifest:
    return {
        "matchExpressions": [
            {"key": "app.kubernetes.io/name", "operator": "In", "values": list(names)}
        ]
    }


def _named(namespace: str) -> Manifest:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
