"""A real Kafka for tests: one in the environment, else Docker, else Java with jars from Maven.

`HEADRACE_TEST_KAFKA=host:port` names one that runs already. Without any the tests are skipped, loudly;
with `REQUIRE_BACKENDS=kafka` that is a failure. The broker is shared by all tests of the session, so
tests take topic names of their own (`kafka_name`).
"""

import atexit
import functools
import gc
import os
import shutil
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip(
    "kafka"
)  # also hides what Python deprecates in kafka-python: import this first

from tests.kit.servers import LocalServer, NoServer, found, free_ports, missing

VERSION = "4.1.0"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "kafka"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>headrace.tests</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{VERSION}</version></dependency></dependencies></project>
"""
_SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "300",
    "transaction.max.timeout.ms": "60000",
    "auto.create.topics.enable": "false",
}


class NoKafka(NoServer):
    """Says why this way of getting a broker is closed."""


@pytest.fixture(scope="session")
def kafka() -> str:
    """A bootstrap address."""
    address, reasons = _found()
    if address is None:
        missing("kafka", "no Kafka for tests: " + "; ".join(reasons))
    return address


LEAKS = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]
"""For tests that break connections: kafka-python leaves their sockets to the garbage collector."""


@pytest.fixture
def collected() -> Iterator[None]:
    """What the client leaves behind is complained about (and ignored) here, not in later tests."""
    yield
    time.sleep(0.1)
    gc.collect()


@pytest.fixture
def fresh_broker() -> "Iterator[Broker]":
    """A broker of one's own, to be killed and restarted; only Java can give one."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-kafka-"))
    with running(lambda: Broker(folder)) as broker:
        yield broker
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kafka_name() -> str:
    """A problem name that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}"


@functools.cache
def _found() -> tuple[str | None, Sequence[str]]:
    return found(_from_environment, _from_docker, _from_java)


def _from_environment() -> str:
    address = os.environ.get("HEADRACE_TEST_KAFKA")
    if not address:
        raise NoKafka("HEADRACE_TEST_KAFKA is not set")
    return address


def _from_docker() -> str:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True).returncode:
        raise NoKafka("no Docker daemon answers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from testcontainers.community.kafka import KafkaContainer

        container: Any = KafkaContainer("confluentinc/cp-kafka:7.9.0").with_kraft()
        for name, value in _SETTINGS.items():
            container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
        container.with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
        container.with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
        container.start()
    atexit.register(container.stop)
    return str(container.get_bootstrap_server())


def _from_java() -> str:
    folder = Path(tempfile.mkdtemp(prefix="headrace-kafka-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    broker = Broker(folder)
    atexit.register(broker.stop)
    broker.start()
    return broker.address


def jars() -> Path:
    """The broker's jars; fetched once, by Maven."""
    libs = CACHE / f"libs-{VERSION}"
    if libs.exists():
        return libs
    maven = shutil.which("mvn")
    if maven is None:
        raise NoKafka(f"java is there, but neither {libs} nor mvn")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        (Path(folder) / "pom.xml").write_text(_POM)
        fetched = Path(folder) / "libs"
        command = [
            maven,
            "-q",
            "-B",
            "dependency:copy-dependencies",
            f"-DoutputDirectory={fetched}",
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise NoKafka(f"Maven could not fetch the jars: {done.stdout[-300:]}")
        if not libs.exists():
            fetched.rename(libs)
    return libs


class Broker(LocalServer):
    """One KRaft node on free loopback ports; ends with the tests, and can be killed and restarted."""

    refusal = NoKafka

    def __init__(self, folder: Path) -> None:
        java = shutil.which("java")
        if java is None:
            raise NoKafka("no java on the PATH")
        run = [java, "-Xms128m", "-Xmx320m", "-cp", f"{jars()}/*"]
        self._settings = folder / "server.properties"
        port, controller = free_ports(2)
        super().__init__(folder, port, [*run, "kafka.Kafka", str(self._settings)])
        self._settings.write_text("\n".join(_lines(port, controller, folder / "data")))
        tool = ["kafka.tools.StorageTool", "format", "-t", "aGVhZHJhY2UtdGVzdHMtMQ"]
        command = [*run, *tool, "-c", str(self._settings)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise NoKafka(
                f"the storage could not be formatted: {(done.stdout + done.stderr)[-500:]}"
            )


Own = TypeVar("Own", bound=Broker)


@contextmanager
def running(make: Callable[[], Own]) -> Iterator[Own]:
    """A broker of the test's own; where none can be had, the test is skipped."""
    try:
        broker = make()
        broker.start()
    except NoKafka as error:
        missing("kafka", f"no Kafka of our own: {error}")
    try:
        yield broker
    finally:
        broker.stop()


def _lines(port: int, controller: int, data: Path) -> list[str]:
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        "num.partitions": "1",
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "log.cleaner.dedupe.buffer.size": "2097152",
        "num.network.threads": "2",
        "num.io.threads": "2",
        **_SETTINGS,
    }
    return [f"{name}={value}" for name, value in settings.items()]
