"""k8s/: every object fits its schema, and says what the declarations say."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from services import discover
from shared.log.kafka_topics import PARTITIONED, settings, topic
from shared.messages.streams import CHECKPOINTS, REJECTED, Stream
from shared.settings import Settings
from tests.architecture.manifests import PARTITIONS, PROBLEM, kafka, workloads

pytestmark = pytest.mark.slow  # many YAML files, read in pure Python

ROOT = Path(__file__).resolve().parents[2]
VENDOR = Path(__file__).parent / "vendor"
BASE = ROOT / "k8s/base"
FILES = sorted([*BASE.rglob("*.yaml"), *(ROOT / "k8s/overlays").rglob("*.yaml")])
SCHEMAS = {"kafka.strimzi.io": "strimzi", "keda.sh": "keda-2.21"}
NAMES = [service.name for service in discover()]


@cache
def bundle(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VENDOR / f"{name}.schema.json").read_text())
    return found


def objects_in(text: str) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(text) if found]


def base() -> list[dict[str, Any]]:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    return [o for path in listed for o in objects_in((BASE / path).read_text())]


def of(kind: str) -> dict[str, dict[str, Any]]:
    return {o["metadata"]["name"]: o for o in base() if o["kind"] == kind}


def mistakes(manifest: dict[str, Any]) -> list[str]:
    group = manifest["apiVersion"].partition("/")[0]
    found = bundle(SCHEMAS.get(group, "kubernetes-1.34"))
    if manifest["kind"] not in found["kinds"]:
        return [f"no schema of {manifest['kind']} is here"]
    schema = {**found["kinds"][manifest["kind"]], "definitions": found.get("definitions", {})}
    errors = jsonschema.Draft7Validator(schema).iter_errors(manifest)
    return [f"{manifest['metadata']['name']} {e.json_path}: {e.message}" for e in errors]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT / "k8s")))
def test_every_object_fits_its_schema(path: Path) -> None:
    for manifest in objects_in(path.read_text()):
        if manifest["kind"] != "Kustomization":
            assert not mistakes(manifest)


def test_a_wrong_field_is_seen() -> None:
    for kind, field in (("StatefulSet", "podManagmentPolicy"), ("ScaledObject", "maxReplicas")):
        manifest = next(iter(of(kind).values()))
        manifest["spec"][field] = "Parallel"
        assert mistakes(manifest)


def test_every_file_of_the_base_is_listed() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    there = {str(p.relative_to(BASE)) for p in BASE.rglob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed) == there


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_overlay_renders_and_fits_the_schemas() -> None:
    shown = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / "k8s/overlays/small")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = objects_in(shown)
    assert [m for o in found for m in mistakes(o)] == []
    assert {o["metadata"].get("namespace") for o in found if o["kind"] != "Namespace"} == {
        "headrace"
    }
    topics = [o["spec"] for o in found if o["kind"] == "KafkaTopic"]
    assert len(topics) == len(Stream)
    for spec in topics:
        assert spec["replicas"] == 1 and spec["config"]["min.insync.replicas"] == "1"


def test_every_service_has_its_objects() -> None:
    for name in NAMES:
        assert name in of("StatefulSet") and name in of("ServiceAccount")
        assert f"headrace-{name}" in of("KafkaUser")
        assert (name in of("PodDisruptionBudget")) is (name not in workloads.ALONE)
    assert set(of("StatefulSet")) == set(NAMES), "an entry without a folder"
    scaled = {service.name for service in discover() if workloads.is_scaled(service)}
    assert set(of("ScaledObject")) == scaled == {"validator", "featurizer", "scorer"}


def test_what_does_not_scale_stands_by() -> None:
    for service in discover():
        replicas = of("StatefulSet")[service.name]["spec"].get("replicas")
        if workloads.is_scaled(service):
            assert replicas is None, "KEDA's, and `kubectl apply` must not set it back"
        else:
            assert replicas == (1 if service.name in workloads.ALONE else 2)


def test_the_topics_are_those_of_the_table() -> None:
    found = of("KafkaTopic")
    assert set(found) == {topic(PROBLEM, stream) for stream in Stream}
    for stream in Stream:
        spec = found[topic(PROBLEM, stream)]["spec"]
        assert spec["partitions"] == (PARTITIONS if stream in PARTITIONED else 1)
        assert spec["config"].items() >= settings(stream).items()


def test_rights_are_what_the_declarations_say_and_no_more() -> None:
    for service in discover():
        acls = of("KafkaUser")[f"headrace-{service.name}"]["spec"]["authorization"]["acls"]
        may: dict[str, set[str]] = {}
        for acl in acls:
            for operation in acl["operations"]:
                may.setdefault(operation, set()).add(acl["resource"]["name"])
        mine = {topic(PROBLEM, s) for s in (*service.writes, CHECKPOINTS)}
        if service.build is not None:  # a record that makes a stage fail
            mine.add(topic(PROBLEM, REJECTED))
        shell = {topic(PROBLEM, s) for s in kafka.BY_SHELLS.get(service.name, ())}
        identities = {f"{PROBLEM}.{name}." for name in (service.name, kafka.DOCTOR)}
        assert may["Write"] == mine | shell | identities
        more = (kafka.DOCTOR, *kafka.MORE_GROUPS.get(service.name, ()))
        groups = {f"{PROBLEM}.{group}" for group in (service.name, *more)}
        beside = (*service.reads, *kafka.READ_BESIDE.get(service.name, ()))
        assert may["Read"] == mine | shell | groups | {topic(PROBLEM, s) for s in beside}
        assert not {"All", "Alter", "Create"} & set(may)
        assert ("Delete" in may) is (service.name in kafka.TRIMMING)


def test_scaling_follows_the_groups_and_topics_of_the_code() -> None:
    for name, scaled in of("ScaledObject").items():
        service = next(s for s in discover() if s.name == name)
        triggers = [t["metadata"] for t in scaled["spec"]["triggers"]]
        assert {t["consumerGroup"] for t in triggers} == {f"{PROBLEM}.{name}"}
        read = {topic(PROBLEM, s) for s in service.reads if s in PARTITIONED}
        assert {t["topic"] for t in triggers} == read
        assert scaled["spec"]["maxReplicaCount"] == PARTITIONS


def test_every_pod_is_restricted() -> None:
    """Kubernetes' Pod Security Standard "restricted", and a read-only root beside it."""
    for workload in (*of("StatefulSet").values(), *of("Deployment").values()):
        pod = workload["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            confined = container["securityContext"]
            assert confined["allowPrivilegeEscalation"] is False
            assert confined["readOnlyRootFilesystem"] is True
            assert confined["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= set(container["resources"]["limits"])


def test_nothing_flows_by_default() -> None:
    policies = of("NetworkPolicy")
    assert policies["default-deny"]["spec"] == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "headrace"}},
        "policyTypes": ["Ingress", "Egress"],
    }
    expressions = policies["to-name-service-and-kafka"]["spec"]["podSelector"]["matchExpressions"]
    assert expressions[0]["values"] == NAMES


def test_every_variable_is_one_that_the_settings_know() -> None:
    given = set(of("ConfigMap")["headrace-settings"]["data"])
    for workload in of("StatefulSet").values():
        for container in workload["spec"]["template"]["spec"]["containers"]:
            given |= {entry["name"] for entry in container["env"]} - {"POD_NAME"}
    assert not unknown_variables(given)
    assert unknown_variables({"HEADRACE_LGO"}) == {"HEADRACE_LGO"}


def unknown_variables(names: set[str]) -> set[str]:
    from shared.log.kafka_clients import Clients

    known = {f"HEADRACE_{field.upper()}" for field in Settings.model_fields} - {"HEADRACE_KAFKA"}
    options = {n for n in names if n.startswith("HEADRACE_KAFKA_")}
    Clients("nowhere:1", {n.removeprefix("HEADRACE_KAFKA_").lower(): "x" for n in options})
    return names - known - options


def test_no_secret_is_written_down() -> None:
    for path in FILES:
        assert not re.search(r"^kind: Secret$|PRIVATE KEY|password:", path.read_text(), re.M), path
