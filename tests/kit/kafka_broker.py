"""A real Kafka for tests: one in the environment, else Docker, else Java with jars from Maven.

`HEADRACE_TEST_KAFKA=host:port` names one that runs already. Without any the tests are skipped, loudly;
with `REQUIRE_BACKENDS=kafka` that is a failure. The broker is shared by all tests of the session, so
tests take topic names of their own (`kafka_name`).
"""

import atexit
import ctypes
import functools
import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "kafka"
)  # also hides what Python deprecates in kafka-python: import this first

VERSION = "4.1.0"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "kafka"
_START_S = 60
_LIBC = ctypes.CDLL(None)
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


class NoKafka(Exception):
    """Says why this way of getting a broker is closed."""


@pytest.fixture(scope="session")
def kafka() -> str:
    """A bootstrap address."""
    address, reasons = _found()
    if address is None:
        message = "no Kafka for tests: " + "; ".join(reasons)
        if "kafka" in os.environ.get("REQUIRE_BACKENDS", "").split(","):
            pytest.fail(message, pytrace=False)
        warnings.warn(f"SKIPPED, {message}", stacklevel=1)
        pytest.skip(message)
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
    java = shutil.which("java")
    folder = Path(tempfile.mkdtemp(prefix="headrace-kafka-"))
    try:
        if java is None:
            raise NoKafka("no java on the PATH")
        broker = Broker(java, jars(), folder)
    except NoKafka as error:
        if "kafka" in os.environ.get("REQUIRE_BACKENDS", "").split(","):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(f"no Kafka of our own: {error}")
    broker.start()
    yield broker
    broker.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kafka_name() -> str:
    """A problem name that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}"


@functools.cache
def _found() -> tuple[str | None, Sequence[str]]:
    reasons = []
    for way in (_from_environment, _from_docker, _from_java):
        try:
            return way(), ()
        except NoKafka as error:
            reasons.append(f"{way.__name__.removeprefix('_from_')}: {error}")
    return None, reasons


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
    java = shutil.which("java")
    if java is None:
        raise NoKafka("no java on the PATH")
    folder = Path(tempfile.mkdtemp(prefix="headrace-kafka-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    broker = Broker(java, jars(), folder)
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


class Broker:
    """One KRaft node on free loopback ports; ends with the tests, and can be killed and restarted."""

    def __init__(self, java: str, libs: Path, folder: Path) -> None:
        self._java = [java, "-Xms128m", "-Xmx320m", "-cp", f"{libs}/*"]
        self._folder = folder
        self._settings = folder / "server.properties"
        self.port, controller = free_ports(2)
        self.address = f"127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._settings.write_text("\n".join(_lines(self.port, controller, folder / "data")))
        tool = ["kafka.tools.StorageTool", "format", "-t", "aGVhZHJhY2UtdGVzdHMtMQ"]
        command = [*self._java, *tool, "-c", str(self._settings)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise NoKafka(
                f"the storage could not be formatted: {(done.stdout + done.stderr)[-500:]}"
            )

    def start(self) -> None:
        """Start it and wait until it listens (about four seconds)."""
        with (self._folder / "broker.log").open("ab") as output:
            command = [*self._java, "kafka.Kafka", str(self._settings)]
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True, preexec_fn=_modest
            )
        wait_for(lambda: self._ended() or _listens(self.port), _START_S, "the broker to listen")
        if self._ended() or not _is_listener(self.process.pid, self.port):
            self.stop()
            tail = (self._folder / "broker.log").read_text()[-500:]
            raise NoKafka(f"the broker did not start on {self.address}: {tail}")

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send our own broker a signal; waits for its end unless it is only paused."""
        assert self.process is not None
        self.process.send_signal(how)
        if how not in (signal.SIGSTOP, signal.SIGCONT):
            self.process.wait(30)

    def stop(self) -> None:
        """End it for good."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None


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


def _modest() -> None:
    """In the broker's process: leave room for others, and end with the tests however they end."""
    os.nice(10)
    end_with_parent()


def end_with_parent() -> None:
    """In a child: be killed when the tests end, however they end."""
    if sys.platform == "linux":
        _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for(done: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Poll `done` until it is true; what it returned."""
    for _ in _ticks(timeout_s):
        result = done()
        if result:
            return result
    raise TimeoutError(f"waited {timeout_s} s for {what}")


def _ticks(timeout_s: float) -> Iterator[None]:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        yield
        time.sleep(0.02)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_listener(pid: int, port: int) -> bool:
    """Is it this process that listens there, not somebody else's broker? (Linux; else believed.)"""
    tables = [table for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")) if table.exists()]
    rows = [row.split() for table in tables for row in table.read_text().splitlines()[1:]]
    ours = {f"socket:[{r[9]}]" for r in rows if r[3] == "0A" and r[1].endswith(f":{port:04X}")}
    if not tables:
        return True
    return any(_target(handle) in ours for handle in Path(f"/proc/{pid}/fd").iterdir())


def _target(handle: Path) -> str:
    try:
        return os.readlink(handle)
    except OSError:
        return ""
