"""The doctor's looks at this machine, and that it ends whoever does not answer."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.doctor import examine
from shared import wiring
from shared.finding import Finding
from shared.log.port import Append
from shared.messages.codec import encode
from shared.messages.streams import MODELS
from shared.messages.types import ModelEvent
from shared.registry.signing import generate_key
from shared.settings import Settings
from tests.kit.serving import small_problem
from tests.kit.toy import T0


@pytest.fixture
def problem_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LOG", "ONLINE", "BLOBS", "SIGNING_KEY"):
        monkeypatch.delenv(f"HEADRACE_{name}", raising=False)
    path = tmp_path / "problem.yaml"
    path.write_text(yaml.safe_dump(small_problem().model_dump(mode="json", exclude_defaults=True)))
    return path


def found(path: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(path, path.parent / "run")}


def signed_by(settings: Settings, directory: Path) -> dict[str, Any]:
    return wiring.open_keys(settings, directory).signer.sign({"name": "m"})


def test_a_fresh_place_is_well(problem_file: Path) -> None:
    said = found(problem_file)
    assert {finding.state for finding in said.values()} <= {"ok", "warn"}
    assert set(said) >= {"settings", "problem file", "sqlite", "blobs", "signing key"}


def test_mistakes_in_settings_and_problem_file(
    problem_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_DURABLE", "perhaps")
    assert "HEADRACE_DURABLE" in found(problem_file)["settings"].text
    monkeypatch.delenv("HEADRACE_DURABLE")
    problem_file.write_text("name: X\n")
    assert found(problem_file)["problem file"].state == "wrong"


def test_the_key_is_ours_alone_and_that_of_the_models(problem_file: Path) -> None:
    directory = problem_file.parent / "run"
    manifest = signed_by(Settings(), directory)
    event = ModelEvent(model="v2", state="shadow", time=T0, manifest=manifest)
    log = wiring.open_log(Settings(), directory, "small")
    with log.begin("t") as transaction:
        transaction.append([Append(MODELS, encode(event))])
    log.close()
    assert found(problem_file)["models"].state == "ok"
    key = directory / wiring.KEY
    key.chmod(0o644)
    states = [f for f in examine(problem_file, directory) if f.check == "signing key"]
    assert [f.state for f in states] == ["wrong", "ok"]
    key.write_bytes(generate_key())
    said = found(problem_file)["models"]
    assert (said.state, "unknown key" in said.text) == ("wrong", True)
    key.write_bytes(b"no key")
    assert found(problem_file)["signing key"].state == "wrong"


def test_a_key_that_is_named_must_be_there(
    problem_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_SIGNING_KEY", "/nowhere/key.pem")
    assert found(problem_file)["signing key"].state == "wrong"


def test_it_ends_when_nobody_answers(problem_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv("HEADRACE_ONLINE", f"redis://127.0.0.1:{mute.getsockname()[1]}/0")
        began = time.monotonic()
        said = found(problem_file)
        assert time.monotonic() - began < 10
    (redis,) = [finding for check, finding in said.items() if check.startswith("redis")]
    assert (redis.state, "does not answer" in redis.text) == ("wrong", True)
