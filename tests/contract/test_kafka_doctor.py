"""What is wrong on Kafka is named, with the mend, within 10 s: by the doctor and by a dying service."""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, kafka_name
from tests.kit.kafka_secure import SecureBroker, secure
# isort: on

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
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
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from shared.finding import Finding
from shared.log.kafka_clients import Clients
from shared.log.kafka_doctor import examined, needs, refusal
from shared.log.kafka_probe import probed
from shared.log.kafka_topics import create_missing, topic
from shared.messages.streams import ALERTS, CHECKPOINTS, EVENTS, OUTCOMES, PREDICTIONS, VALID
from tests.kit.runs import ROOT, command, environment
from tests.kit.serving import small_problem

__all__ = ["collected", "kafka_name", "secure"]

pytestmark = LEAKS
BOUND_S = 10.0
ALICE = {
    "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN",
    "sasl_plain_username": "alice", "sasl_plain_password": "right",
}  # fmt: skip


def now_ms() -> int:
    return int(time.time() * 1_000)


def bad(found: Any) -> dict[str, Finding]:
    return {finding.check: finding for finding in found if finding.state == "wrong"}


@pytest.fixture
def mute() -> Iterator[str]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        yield f"127.0.0.1:{place.getsockname()[1]}"


@pytest.fixture
def topics(secure: SecureBroker, kafka_name: str) -> str:
    create_missing(Clients(secure.address), kafka_name)
    return kafka_name


@pytest.fixture
def allow(secure: SecureBroker, topics: str) -> Callable[..., None]:
    """Give alice rights on what begins with the problem's name."""

    def give(kind: ResourceType, *operations: ACLOperation) -> None:
        pattern = ResourcePattern(kind, f"{topics}.", ACLResourcePatternType.PREFIXED)
        rights = [
            ACL("User:alice", "*", operation, ACLPermissionType.ALLOW, pattern)
            for operation in operations
        ]
        with Clients(secure.address).admin() as admin:
            admin.create_acls(rights)
        time.sleep(0.3)  # the authorizer follows the metadata log

    return give


TLS_CASES = [
    ("good", {}, "is of an unknown authority", "SSL_CAFILE"),
    ("good", {"ssl_cafile": "/nowhere.pem"}, "file cannot be used", "SSL_CAFILE"),
    ("expired", None, "is out of date", "renew"),
    ("elsewhere", None, "is not for 127.0.0.1", "host name"),
    ("plain", None, "TLS handshake fails", "SECURITY_PROTOCOL without SSL"),
]


@pytest.mark.parametrize(("at", "options", "text", "mend"), TLS_CASES)
def test_tls(
    secure: SecureBroker, at: str, options: Mapping[str, str] | None, text: str, mend: str
) -> None:
    given = {"ssl_cafile": str(secure.authority.path)} if options is None else options
    (finding,) = probed(secure.at[at], {"security_protocol": "SSL", **given})
    assert (finding.state, text in finding.text, mend in finding.mend) == ("wrong", True, True), (
        finding
    )


SASL_CASES = [
    ("sasl", {"sasl_plain_password": "wrong"}, "refuses the user 'alice'", "SASL_PLAIN_PASSWORD"),
    ("sasl", {"sasl_mechanism": "SCRAM-SHA-512"}, "does not take", "PLAIN, SCRAM-SHA-256"),
    ("sasl", {"sasl_mechanism": "SCRAM-SHA-256"}, "refuses the user", "SASL_PLAIN_PASSWORD"),
    ("sasl", {"security_protocol": "PLAINTEXT"}, "hangs up", "SASL_PLAINTEXT"),
    ("plain", {}, "knows no passwords", "without SASL"),
    (
        "good",
        {"security_protocol": "PLAINTEXT"},
        "is not Kafka's protocol",
        "SECURITY_PROTOCOL=SSL",
    ),
]


@pytest.mark.parametrize(("at", "options", "text", "mend"), SASL_CASES)
def test_sasl(
    secure: SecureBroker, at: str, options: Mapping[str, str], text: str, mend: str
) -> None:
    (finding,) = probed(secure.at[at], {**ALICE, **options})
    assert (finding.state, text in finding.text, mend in finding.mend) == ("wrong", True, True), (
        finding
    )


def test_what_is_right_is_well(secure: SecureBroker) -> None:
    tls = {"security_protocol": "SSL", "ssl_cafile": str(secure.authority.path)}
    with Clients(secure.address).admin() as admin:
        admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion("carol", ScramMechanism.SCRAM_SHA_256, "right", 4096)]
        )
    time.sleep(0.3)
    carol = {**ALICE, "sasl_plain_username": "carol", "sasl_mechanism": "SCRAM-SHA-256"}
    for at, options in (("good", tls), ("sasl", ALICE), ("sasl", carol), ("plain", {})):
        (finding,) = probed(secure.at[at], options)
        assert finding.state == "ok", finding


def test_wrong_places(mute: str) -> None:
    (name,) = probed("no-such-host.invalid:9092", {})
    (closed,) = probed("127.0.0.1:1", {})
    began = time.monotonic()
    silent, again = probed(f"{mute},{mute.replace('127.0.0.1', 'localhost')}", {})
    assert time.monotonic() - began < BOUND_S
    assert again.text == silent.text
    (handshake,) = probed(mute, {"security_protocol": "SSL"})
    (form,) = probed("nonsense", {})
    assert "is not known" in name.text
    assert "refused" in closed.text
    assert "does not answer" in silent.text
    assert "TLS handshake" in handshake.text
    assert "host:port" in form.text
    stop = refusal(mute, {}, "p", needs())
    assert stop is not None
    assert silent.mend in str(stop)


def test_one_broker_of_two_is_enough(secure: SecureBroker, topics: str) -> None:
    servers = f"127.0.0.1:1,{secure.address}"
    assert refusal(servers, {}, topics, needs(), quick=True) is None
    found = list(examined(servers, {}, topics, needs(), now_ms))
    assert not bad(found)
    assert [finding.state for finding in found][:2] == ["warn", "ok"]


def test_all_well_and_only_an_aborted_transaction_is_left(
    secure: SecureBroker, topics: str
) -> None:
    began = time.monotonic()
    found = list(examined(secure.address, {}, topics, needs(), now_ms))
    assert time.monotonic() - began < BOUND_S
    assert {finding.state for finding in found} == {"ok"}, found
    assert "clock" in {finding.check for finding in found}
    reader = Clients(secure.address).reader()
    reader.subscribe([topic(topics, CHECKPOINTS)])
    assert reader.poll(1_000) == {}
    reader.close()


def test_a_wrong_clock(secure: SecureBroker, topics: str) -> None:
    found = list(examined(secure.address, {}, topics, needs(), lambda: now_ms() + 90_000))
    assert "90" in bad(found)["clock"].text
    assert "ahead" in bad(found)["clock"].text


def test_missing_rights_are_named_one_by_one(
    secure: SecureBroker, topics: str, allow: Callable[..., None]
) -> None:
    def wrongs() -> dict[str, Finding]:
        return bad(examined(secure.at["sasl"], ALICE, topics, needs(), now_ms))

    read, write, describe = ACLOperation.READ, ACLOperation.WRITE, ACLOperation.DESCRIBE
    assert set(wrongs()) == {"rights on topics", "rights on groups", "rights on transactions"}
    allow(ResourceType.TOPIC, describe, read)
    found = wrongs()
    assert "not allowed: WRITE on" in found["rights on topics"].text
    assert f"{topics}.events" in found["rights on topics"].text
    allow(ResourceType.TOPIC, write)
    assert set(wrongs()) == {"rights on groups", "rights on transactions"}
    allow(ResourceType.GROUP, read)
    assert set(wrongs()) == {"rights on transactions"}
    allow(ResourceType.TRANSACTIONAL_ID, write, describe)
    assert wrongs() == {}


def test_only_the_rights_that_a_service_needs(
    secure: SecureBroker, topics: str, allow: Callable[..., None]
) -> None:
    """A validator need not read predictions."""
    read, write, describe = ACLOperation.READ, ACLOperation.WRITE, ACLOperation.DESCRIBE
    allow(ResourceType.GROUP, read)
    allow(ResourceType.TRANSACTIONAL_ID, write, describe)
    with Clients(secure.address).admin() as admin:
        for stream, operations in {
            EVENTS: (read,),
            VALID: (write,),
            CHECKPOINTS: (read, write),
        }.items():
            name = topic(topics, stream)
            pattern = ResourcePattern(ResourceType.TOPIC, name, ACLResourcePatternType.LITERAL)
            admin.create_acls(
                [ACL("User:alice", "*", o, ACLPermissionType.ALLOW, pattern) for o in operations]
            )
    time.sleep(0.3)
    assert refusal(secure.at["sasl"], ALICE, topics, needs([EVENTS], [VALID])) is None
    stop = refusal(secure.at["sasl"], ALICE, topics, needs([EVENTS], [PREDICTIONS]))
    assert stop is not None
    assert f"WRITE on {topics}.predictions" in str(stop)


def test_topics_that_lose_records(secure: SecureBroker, kafka_name: str) -> None:
    clients = Clients(secure.address)
    with clients.admin() as admin:
        plan = {"num_partitions": 1, "replication_factor": 1}
        wrong = {"retention.ms": "1000", "min.insync.replicas": "2"}
        admin.create_topics({topic(kafka_name, OUTCOMES): {**plan, "configs": wrong}})
        admin.create_topics({topic(kafka_name, ALERTS): {**plan, "num_partitions": 2}})
    found = [f for f in examined(secure.address, {}, kafka_name, needs()) if f.state == "wrong"]
    texts = "\n".join(finding.line() for finding in found)
    assert f"missing: {kafka_name}.events" in texts
    assert "retention.ms is 1000, wanted is -1" in texts
    assert "min.insync.replicas 2 is more than its 1 copies" in texts
    assert "2 partitions instead of 1" in texts


SERVE_CASES = {
    "wrong password": ("sasl", {"SASL_PLAIN_PASSWORD": "wrong"}, "refuses the user 'alice'"),
    "missing right": ("sasl", {}, "not allowed: DESCRIBE, READ"),
    "unknown CA": ("good", {"SECURITY_PROTOCOL": "SSL"}, "SSL_CAFILE"),
    "missing topic": ("plain", {"SECURITY_PROTOCOL": "PLAINTEXT"}, "headrace topics create"),
    "wrong address": ("nobody", {}, "is the broker running"),
    "silence": ("mute", {"SECURITY_PROTOCOL": "PLAINTEXT"}, "does not answer"),
}


@pytest.mark.parametrize("case", SERVE_CASES)
def test_a_service_ends_with_the_cause_that_the_doctor_names(
    case: str, secure: SecureBroker, mute: str, kafka_name: str, tmp_path: Path
) -> None:
    at, options, text = SERVE_CASES[case]
    address = {**secure.at, "nobody": "127.0.0.1:1", "mute": mute}[at]
    if case == "missing right":
        create_missing(Clients(secure.address), kafka_name)
    problem = small_problem().model_copy(update={"name": kafka_name})
    path = tmp_path / "problem.yaml"
    path.write_text(yaml.safe_dump(problem.model_dump(mode="json", exclude_defaults=True)))
    given = {name.upper(): value for name, value in ALICE.items()} | options
    settings = {f"HEADRACE_KAFKA_{name}": value for name, value in given.items()}
    env = {**environment(), **settings, "HEADRACE_LOG": f"kafka://{address}"}

    def run(*arguments: str) -> tuple[int, str, str, float]:
        began = time.monotonic()
        done = subprocess.run(
            [*command(*arguments), "--problem", str(path), "--data-dir", str(tmp_path)],
            cwd=ROOT, env=env, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr, time.monotonic() - began

    code, out, _, seconds = run("doctor", "--json")
    assert code == 1
    assert any(text in f["text"] + f["mend"] for f in json.loads(out) if f["state"] == "wrong"), (
        out
    )
    assert seconds < 2 * BOUND_S, "of which Python's start takes some"
    code, _, error, seconds = run("serve", "validator", "--port", "0")
    assert (code, text in error) == (1, True), error
    assert seconds < 2 * BOUND_S
    assert "Traceback" not in error
