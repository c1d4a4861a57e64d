"""Every service in a process of its own, over a real Kafka; a client of another make watches."""

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pandas as pd

from shared.log.kafka_clients import Clients
from shared.log.kafka_topics import create_missing
from tests.kit.runs import ELECTRICITY, ROOT, command, electricity, environment
from tests.kit.servers import end_with_parent

_SILENT_S = 20.0
_KEPT = ("id", "key", "prediction", "label", "revision", "model")
"""Of a watched message: a million whole ones are gigabytes."""
EACH = (
    "validator", "featurizer", "scorer", "joiner", "learner", "auditor", "monitor", "scheduler",
    "trainer", "judge", "archiver", "console", "collector",
)  # fmt: skip


@dataclass
class Cluster:
    """The processes of one problem; `name` is the problem's."""

    address: str
    name: str
    folder: Path
    partitions: int = 1
    changes: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problem = (self.base or electricity()) | {"name": self.name, **self.changes}
        self.problem = self.folder / "problem.yaml"
        self.problem.write_text(json.dumps(problem, indent=1))
        create_missing(Clients(self.address), self.name, partitions=self.partitions)

    def start(self, *groups: str, instance: str = "0") -> None:
        """One process for each of `groups` ("scorer" or "validator,scorer")."""
        settings = {"HEADRACE_LOG": f"kafka://{self.address}", **self.settings}
        for group in groups:
            self.running[self._tag(group, instance)] = subprocess.Popen(
                command(
                    "serve", group, "--problem", self.problem, "--data-dir", self.folder / "data",
                    "--instance", instance, "--port", "0", "--no-ticks",
                ),
                cwd=ROOT, env={**environment(), **settings},
                stdout=subprocess.DEVNULL, stderr=self._log(group, instance),
                preexec_fn=end_with_parent,
            )  # fmt: skip

    def signal(self, how: signal.Signals, group: str, instance: str = "0") -> None:
        """Send a signal; a killed process is waited for."""
        process = self.running[self._tag(group, instance)]
        process.send_signal(how)
        if how not in (signal.SIGSTOP, signal.SIGCONT):
            process.wait(60)

    def said(self, group: str, instance: str = "0") -> str:
        """What the process wrote."""
        return self._path(group, instance).read_text()

    def ended(self) -> dict[str, int]:
        """Processes that ended by themselves."""
        return {tag: p.returncode for tag, p in self.running.items() if p.poll() is not None}

    def stop(self) -> dict[str, int]:
        """End all, politely; their exit codes."""
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        codes = {}
        for tag, process in self.running.items():
            try:
                codes[tag] = process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[tag] = process.wait()
        return codes

    def _tag(self, group: str, instance: str) -> str:
        return f"{group.replace(',', '+')}.{instance}"

    def _path(self, group: str, instance: str) -> Path:
        return self.folder / f"{self._tag(group, instance)}.log"

    def _log(self, group: str, instance: str) -> IO[bytes]:
        return self._path(group, instance).open("ab")


def half_hours(rows: int, first: int = 0) -> list[tuple[bytes, bytes]]:
    """Events of the electricity example with their labels, as a producer elsewhere would send them."""
    table = pd.read_parquet(ELECTRICITY.parent / "electricity.parquet")[first : first + rows]
    found = []
    for row in table.to_dict("records"):
        label = row.pop("rises")
        at = pd.Timestamp(row["time"])
        event = {**row, "time": _text(at)}
        told = {"id": row["id"], "label": int(label), "time": _text(at + pd.Timedelta("30min"))}
        found.append((json.dumps(event).encode(), json.dumps(told).encode()))
    return found


class Producing(threading.Thread):
    """A producer outside Headrace (`tests/kit/producer.py`): events, each followed by its label.

    librdkafka can crash while the broker is shot at: then another process goes on behind what is
    acknowledged. What it sends twice comes twice, as with any producer that dies; the ids are the same.
    """

    def __init__(
        self,
        address: str,
        name: str,
        rows: Sequence[tuple[bytes, bytes]],
        per_s: float,
        key: Callable[[int], bytes] = lambda n: b"NSW",
    ) -> None:
        super().__init__(daemon=True, name="producing")
        self._address, self._name, self._rows = address, name, rows
        self._per_s, self._key = per_s, key
        self._process: subprocess.Popen[bytes] | None = None
        self._through = 0
        self.sent_at: list[float] = []
        self.failed: list[str] = []
        self.crashes = 0
        self._over = threading.Event()

    @property
    def sent(self) -> int:
        """Events that were sent."""
        return len(self.sent_at)

    def stop(self) -> None:
        """Send no more; what was sent is with the broker."""
        self._over.set()
        if self._process is not None:
            self._process.terminate()
        self.join(130)

    def run(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            for n, (event, label) in enumerate(self._rows):
                row = [self._key(n).decode(), event.decode(), label.decode()]
                file.write(json.dumps(row) + "\n")
            file.flush()
            code = 0
            while not self._over.is_set():
                code = self._once(file.name)
                if code >= 0:
                    break
                self.crashes += 1
        if code:
            self.failed.append(f"the producer ended with {code}")

    def _once(self, path: str) -> int:
        where = [self._address, self._name, path, str(self._per_s), str(self._through)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.producer", *where], cwd=ROOT, stdout=subprocess.PIPE,
            preexec_fn=end_with_parent,
        )  # fmt: skip
        if self._over.is_set():
            self._process.terminate()
        for line in self._process.stdout or ():
            word, number, *at = line.split()
            if word == b"through":
                self._through = int(number)
            elif int(number) == self.sent:
                self.sent_at.append(float(at[0]))
        return self._process.wait()


class Watching(threading.Thread):
    """What a consumer outside Headrace reads of one topic, from the start (`tests/kit/outside.py`).

    librdkafka can fall silent for ever about a partition whose broker went away while it asked, or
    crash: after `_SILENT_S` of silence, or at its end, another process goes on where it was.
    """

    def __init__(self, address: str, topic: str, partitions: int = 1) -> None:
        super().__init__(daemon=True, name="watching")
        self._address, self._topic = address, topic
        self._next = [0] * partitions
        self._heard = time.monotonic()
        self._reading: subprocess.Popen[bytes] | None = None
        self.messages: list[dict[str, Any]] = []
        self.arrived: list[float] = []
        self.partitions: list[int] = []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            self._reading, self._heard = self._outside(), time.monotonic()
            for line in self._reading.stdout or ():
                if line.endswith(b"\n"):  # else it ended in the middle of one
                    self._take(line)
            self._reading.wait()

    def _outside(self) -> "subprocess.Popen[bytes]":
        where = [self._address, self._topic, *map(str, self._next)]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.kit.outside", *where], cwd=ROOT, stdout=subprocess.PIPE,
            preexec_fn=end_with_parent,
        )  # fmt: skip

    def _take(self, line: bytes) -> None:
        partition, offset, at, value = line.split(b" ", 3)
        message = json.loads(value)
        self.messages.append({name: message[name] for name in _KEPT if name in message})
        self.arrived.append(float(at))
        self.partitions.append(int(partition))
        self._next[int(partition)] = int(offset) + 1
        self._heard = time.monotonic()

    def _listen_anew(self) -> None:
        if self._reading is not None:
            self._reading.kill()

    def wait(self, count: int, limit_s: float, cluster: Cluster | None = None) -> None:
        """Until `count` messages came."""
        until = time.monotonic() + limit_s
        while len(self.messages) < count:
            if time.monotonic() > until:
                found = f"{len(self.messages)} of {count} messages in {limit_s} s"
                raise TimeoutError(f"{self._topic}: {found}; next: {self._next}")
            if cluster is not None and (ended := cluster.ended()):
                raise AssertionError(f"processes ended: {ended}")
            if time.monotonic() - self._heard > _SILENT_S:
                self._heard = time.monotonic()
                self._listen_anew()
            time.sleep(0.05)

    def stop(self) -> None:
        self._over.set()
        self._listen_anew()
        self.join(10)


def accuracy(outcomes: Sequence[dict[str, Any]]) -> float:
    """Of what was published, first labels only."""
    first = [o for o in outcomes if o.get("revision", 0) == 0]
    return sum(o["prediction"] == o["label"] for o in first) / len(first)


def _text(at: pd.Timestamp) -> str:
    at = at.tz_localize("UTC") if at.tzinfo is None else at
    return at.isoformat().replace("+00:00", "Z")
