"""docker-compose.yml and Dockerfile: fit the specification, hold every service, give nothing away."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml

from services import discover
from services.cli import app
from tests.architecture.test_deploy_manifests import unknown_variables

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NAMES = [service.name for service in discover()]
OURS = [name for name, entry in SERVICES.items() if entry["image"].startswith("headrace")]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_it_fits_the_compose_specification() -> None:
    schema = json.loads((Path(__file__).parent / "vendor/compose-spec.schema.json").read_text())
    check = jsonschema.validators.validator_for(schema)(schema)
    assert [f"{e.json_path}: {e.message}" for e in check.iter_errors(COMPOSE)] == []
    wrong = {"services": {"a": {"image": "a", "mem_limits": "1g"}}}
    assert not check.is_valid(wrong)


def test_every_service_has_a_process_of_its_own() -> None:
    serving = {
        name: entry["command"]
        for name, entry in SERVICES.items()
        if "serve" in entry.get("command", [])
    }
    twice = {s.name for s in discover() if s.scale == "per-partition" and s.reads}
    assert set(serving) == {*NAMES, "replay"} | {f"{name}-1" for name in twice}
    identities = [(c[1], option(c, "--instance")) for c in serving.values()]
    assert len(identities) == len(set(identities)), "two of the same identity fence each other"
    for name in NAMES:
        assert serving[name][:2] == ["serve", name]


@pytest.mark.parametrize("name", OURS)
def test_commands_are_ones_that_the_command_line_knows(name: str) -> None:
    """Each is parsed by the real command line, and not run."""
    words = [re.sub(r"\$\{\w+:-(.*?)\}", r"\1", w) for w in SERVICES[name].get("command", [])]
    if "entrypoint" in SERVICES[name]:
        assert SERVICES[name]["entrypoint"][0] == "python"
        compile(SERVICES[name]["entrypoint"][2], name, "exec")
        return
    command: Any = typer.main.get_command(app)
    words = [w.replace("/etc/headrace", str(ROOT / "examples/electricity")) for w in words]
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(name, words)


@pytest.mark.parametrize("name", list(SERVICES))
def test_every_container_is_confined(name: str) -> None:
    entry = SERVICES[name]
    assert entry["cap_drop"] == ["ALL"]
    assert entry["security_opt"] == ["no-new-privileges:true"]
    assert entry["mem_limit"] and entry["cpus"]
    assert entry.get("read_only") is True or name == "kafka", (
        "its start script writes its settings"
    )
    for port in entry.get("ports", []):
        assert port.startswith("127.0.0.1:"), "published to other machines"
    for key in ("privileged", "network_mode", "pid", "cap_add", "devices"):
        assert key not in entry
    targets = [target(v) for v in entry.get("volumes", [])]
    targets += [t.partition(":")[0] for t in entry.get("tmpfs", [])]
    assert len(targets) == len(set(targets)), "two mounts in one place"


def test_what_a_process_writes_to_is_mounted() -> None:
    for name in NAMES:
        entry = SERVICES[name]
        places = {target(v) for v in entry["volumes"]}
        places |= {t.partition(":")[0] for t in entry["tmpfs"]}
        assert places >= {
            *(
                "/tmp",
                "/var/lib/headrace/data",
                "/var/lib/headrace/blobs",
                "/opt/headrace/kernels",
            ),
            *("/var/lib/headrace/keys", "/etc/headrace"),
        }, name
        assert "NUMBA_CACHE_DIR=/opt/headrace/kernels" in DOCKERFILE


def test_named_volumes_and_networks_are_declared_and_used() -> None:
    used = {v.split(":")[0] for e in SERVICES.values() for v in e.get("volumes", [])}
    assert {v for v in used if not v.startswith(".")} == set(COMPOSE["volumes"])
    assert {n for e in SERVICES.values() for n in e["networks"]} == set(COMPOSE["networks"])
    for path in (v for v in used if v.startswith(".")):
        assert (ROOT / path).exists(), path


def test_waiting_is_for_something_that_tells() -> None:
    for name, entry in SERVICES.items():
        for other, condition in entry.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for {other}"
            else:
                assert SERVICES[other]["restart"] == "no", f"{name} waits for {other}"


def test_every_variable_is_one_that_the_settings_know() -> None:
    for name in OURS:
        assert not unknown_variables(set(SERVICES[name]["environment"])), name


def test_variables_of_the_demo_are_used() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for line in (ROOT / "deploy/demo.env").read_text().splitlines():
        name = line.partition("=")[0]
        if name and not name.startswith(("#", "COMPOSE_")):
            assert f"${{{name}:-" in text, name


def test_the_image_is_not_root_s_and_holds_no_secret() -> None:
    final = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER 10001:10001$", final, re.M)
    assert re.search(r'^ENTRYPOINT \["headrace"\]$', final, re.M)
    assert re.search(r"^HEALTHCHECK ", final, re.M)
    assert final.index("COPY --from") < final.index("USER ")
    assert not re.search(r"(?i)(password|token|secret|private.key)\s*=", DOCKERFILE)
    assert DOCKERFILE.count("--require-hashes") == 2


def test_the_image_is_made_of_what_the_repository_has() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in lines if line.startswith("!")]
    assert lines[1] == "*"
    assert all((ROOT / path).exists() for path in let_in)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)
    assert {path for line in copied for path in line.split()} <= set(let_in)


@pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not installed")
def test_docker_itself_reads_the_compose_file() -> None:
    there = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if there.returncode:
        pytest.skip("docker has no `compose`")
    for extra in ([], ["--env-file", "deploy/demo.env"]):
        words = ["docker", "compose", *extra, "config", "--quiet"]
        told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr


def option(words: list[str], name: str) -> str:
    """The value of an option, or nothing."""
    return words[words.index(name) + 1] if name in words else ""


def target(volume: str) -> str:
    """Where a volume is mounted."""
    return volume.split(":")[1]
