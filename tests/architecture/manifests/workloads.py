"""The objects of one service: account, workload, addresses, disruption budget, scaling."""

from collections.abc import Iterator

from shared.log.kafka_topics import PARTITIONED, topic
from shared.stage import Service
from tests.architecture.manifests import (
    CLUSTER,
    IMAGE,
    NAMESPACE,
    PARTITIONS,
    PORT,
    PROBLEM,
    Manifest,
    labels,
    meta,
)
from tests.architecture.manifests.cluster import OPEN, SETTINGS

ALONE = {
    "archiver": "its Parquet files are on a volume of its own",
    "console": "callers must reach the one that works; it is rebuilt from the log in seconds",
}
"""Services with one replica, and why; of others that cannot be shared out one works, one stands by."""
SIZES = {  # requests and limits: milli-CPU, MiB
    "scorer": (500, 2_000, 768, 1_536),
    "learner": (500, 2_000, 768, 2_048),
    "trainer": (500, 2_000, 1_024, 4_096),
    "judge": (250, 1_000, 512, 1_536),
    "console": (250, 1_000, 512, 1_024),
}
_SIZE = (200, 1_000, 384, 1_024)
LAG_RECORDS = 2_000
"""Of lag for each worker: about a second of work of a scorer."""
_UID = 10_001
_KERNELS = "/opt/headrace/kernels"


def objects(service: Service) -> Iterator[Manifest]:
    """All objects of a service, but its Kafka user."""
    name = service.name
    yield {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": meta(name, name),
        "automountServiceAccountToken": False,
    }
    yield _workload(service)
    yield _address(name, f"{name}-pods", headless=True)
    if name in OPEN:
        yield _address(name, name, headless=False)
    if name not in ALONE:
        yield {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": meta(name, name),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels(name)}},
        }
    if is_scaled(service):
        yield from _scaling(service)


def is_scaled(service: Service) -> bool:
    """Whether KEDA says how many there are."""
    return service.scale == "per-partition" and bool(service.reads)


def _workload(service: Service) -> Manifest:
    """A StatefulSet, for its stable names: a transactional id must come back to end what it left."""
    name = service.name
    spec: Manifest = {"serviceName": f"{name}-pods", "podManagementPolicy": "Parallel"}
    if not is_scaled(service):
        spec["replicas"] = 1 if name in ALONE else 2
    spec["selector"] = {"matchLabels": labels(name)}
    spec["template"] = {
        "metadata": {
            "labels": labels(name),
            "annotations": {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": str(PORT),
                "prometheus.io/path": "/metrics",
            },
        },
        "spec": _pod(service),
    }
    if name == "archiver":
        spec["volumeClaimTemplates"] = [_claim("data", "20Gi")]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": meta(name, name),
        "spec": spec,
    }


def _pod(service: Service) -> Manifest:
    name = service.name
    spread = {"matchLabels": labels(name)}
    return {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 45,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "runAsGroup": _UID,
            "fsGroup": _UID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": spread,
            }
        ],
        "initContainers": [_kernels()],
        "containers": [_container(service)],
        "volumes": _volumes(name),
    }


def _kernels() -> Manifest:
    """numba wants its cache writable; the image's own copy is on a read-only file system."""
    return {
        "name": "kernels",
        "image": IMAGE,
        "command": ["cp", "-a", f"{_KERNELS}/.", "/kernels/"],
        "resources": _resources(50, 500, 32, 128),
        "securityContext": _confined(),
        "volumeMounts": [{"name": "kernels", "mountPath": "/kernels"}],
    }


def _container(service: Service) -> Manifest:
    name = service.name
    ready = "/health/ready" if name in ALONE else "/health/ready?standby=ok"
    return {
        "name": name,
        "image": IMAGE,
        "args": [
            *("serve", name, "--problem", "/etc/headrace/problem.yaml"),
            *("--data-dir", "/var/lib/headrace/data", "--host", "0.0.0.0"),
            *("--port", str(PORT), "--instance", "$(POD_NAME)"),
        ],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {
                "name": "HEADRACE_API_TOKEN",
                "valueFrom": {
                    "secretKeyRef": {"name": "headrace-api", "key": "token", "optional": True}
                },
            },
        ][: 2 if name in OPEN else 1],
        "envFrom": [{"configMapRef": {"name": "headrace-settings"}}],
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": _probe("/health/live", 5, failures=36),
        "livenessProbe": _probe("/health/live", 10, failures=3),
        "readinessProbe": _probe(ready, 5, failures=2),
        "resources": _resources(*SIZES.get(name, _SIZE)),
        "securityContext": _confined(),
        "volumeMounts": [
            {"name": "problem", "mountPath": "/etc/headrace", "readOnly": True},
            {"name": "kafka-ca", "mountPath": "/etc/kafka-ca", "readOnly": True},
            {"name": "kafka-user", "mountPath": "/etc/kafka-user", "readOnly": True},
            {"name": "signing-key", "mountPath": "/etc/headrace-key", "readOnly": True},
            {"name": "blobs", "mountPath": SETTINGS["HEADRACE_BLOBS"].removeprefix("file://")},
            {"name": "data", "mountPath": "/var/lib/headrace/data"},
            {"name": "kernels", "mountPath": _KERNELS},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _volumes(name: str) -> list[Manifest]:
    volumes: list[Manifest] = [
        {"name": "problem", "configMap": {"name": "headrace-problem"}},
        {
            "name": "kafka-ca",
            "secret": {
                "secretName": f"{CLUSTER}-cluster-ca-cert",
                "items": [{"key": "ca.crt", "path": "ca.crt"}],
            },
        },
        {
            "name": "kafka-user",
            "secret": {"secretName": f"{NAMESPACE}-{name}", "defaultMode": 0o440},
        },
        {
            "name": "signing-key",
            "secret": {"secretName": "headrace-signing-key", "defaultMode": 0o440},
        },
        {"name": "blobs", "persistentVolumeClaim": {"claimName": "headrace-blobs"}},
        {"name": "kernels", "emptyDir": {"sizeLimit": "256Mi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
    ]
    if name != "archiver":
        volumes.append({"name": "data", "emptyDir": {"sizeLimit": "4Gi"}})
    return volumes


def _address(name: str, address: str, headless: bool) -> Manifest:
    spec: Manifest = {"clusterIP": "None"} if headless else {"type": "ClusterIP"}
    spec["selector"] = labels(name)
    spec["ports"] = [{"name": "http", "port": PORT, "targetPort": "http"}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(address, name), "spec": spec}


def _scaling(service: Service) -> Iterator[Manifest]:
    name = service.name
    keys = {"ca": ("kafka-cluster-ca-cert", "ca.crt")} | {
        parameter: (f"{NAMESPACE}-{name}", key)
        for parameter, key in (("cert", "user.crt"), ("key", "user.key"))
    }
    yield {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": meta(name, name),
        "spec": {
            "secretTargetRef": [
                {"parameter": parameter, "name": secret, "key": key}
                for parameter, (secret, key) in keys.items()
            ]
        },
    }
    triggers = [
        {
            "type": "kafka",
            "metadata": {
                "bootstrapServers": SETTINGS["HEADRACE_LOG"].removeprefix("kafka://"),
                "consumerGroup": f"{PROBLEM}.{name}",
                "topic": topic(PROBLEM, stream),
                "lagThreshold": str(LAG_RECORDS),
                "limitToPartitionsWithLag": "true",
                "offsetResetPolicy": "earliest",
                "tls": "enable",
            },
            "authenticationRef": {"name": name},
        }
        for stream in service.reads
        if stream in PARTITIONED
    ]
    yield {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": meta(name, name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name},
            "minReplicaCount": 1,
            "maxReplicaCount": PARTITIONS,
            "cooldownPeriod": 300,
            "triggers": triggers,
        },
    }


def _claim(name: str, size: str) -> Manifest:
    return {
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
        },
    }


def _probe(path: str, period_s: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def _resources(least_m: int, most_m: int, least_mib: int, most_mib: int) -> Manifest:
    return {
        "requests": {"cpu": f"{least_m}m", "memory": f"{least_mib}Mi"},
        "limits": {"cpu": f"{most_m}m", "memory": f"{most_mib}Mi"},
    }


def _confined() -> Manifest:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
