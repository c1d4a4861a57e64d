"""Faults one after the other, while events flow; what was injected, when, and how long it was felt.

Every service is a process of its own (`tests/kit/cluster.py`); a fault is over when its service, asked
of the broker by a client of its own, has consumed everything that was there when it began.
"""

import json
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kafka import TopicPartition
from kafka.errors import KafkaError

from services import discover
from shared.errors import HeadraceError
from shared.log.kafka_clients import Clients
from shared.log.kafka_topics import PARTITIONED
from shared.messages.streams import Stream
from tests.kit.cluster import Cluster

PATIENCE_S = 60.0
SCORE_PATH = ("validator", "featurizer", "scorer", "joiner", "learner")


@dataclass
class Injected:
    """One fault: at second `at_s` of the programme; `back_s` later its service had caught up."""

    what: str
    at_s: float
    back_s: float


@dataclass
class Programme:
    """Injects faults into a cluster and measures what comes of them."""

    cluster: Cluster
    seed: int
    score_path: tuple[str, ...] = SCORE_PATH
    """The groups that a fault of something that all need is felt by."""
    injected: list[Injected] = field(default_factory=list)
    restarts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._clients = Clients(self.cluster.address)
        self._opened, self._admin = ExitStack(), None
        self._services = {service.name: service for service in discover()}

    def kill(self, group: str) -> None:
        """kill -9, and a supervisor that starts it again."""
        with self._felt(f"kill -9 {group}", (group,)):
            self.cluster.signal(signal.SIGKILL, group)
            self.cluster.start(group)

    def pause(self, groups: tuple[str, ...], seconds: float) -> None:
        """SIGSTOP, for `seconds`; then it goes on as if nothing had been."""
        with self._felt(f"SIGSTOP {seconds:g} s {', '.join(groups)}", groups):
            for group in groups:
                self.cluster.signal(signal.SIGSTOP, group)
            time.sleep(seconds)
            for group in groups:
                self.cluster.signal(signal.SIGCONT, group)

    def elsewhere(self, what: str, fault: Callable[[], object]) -> None:
        """A fault of something that all need; it is over when it returns."""
        with self._felt(what, self.score_path):
            fault()

    def revive(self) -> None:
        """What a supervisor does with processes that ended: start them again."""
        for tag in self.cluster.ended():
            group, _, instance = tag.rpartition(".")
            self.restarts[tag] = self.restarts.get(tag, 0) + 1
            self.cluster.start(group.replace("+", ","), instance=instance)

    def report(self, path: Path, counted: dict[str, Any]) -> dict[str, Any]:
        """Everything, as JSON in `path`."""
        self._opened.close()
        self._admin = None
        backs = sorted(fault.back_s for fault in self.injected)
        whole = {
            "seed": self.seed,
            "faults": len(backs),
            "back_s": {
                "p50": backs[len(backs) // 2],
                "p95": backs[min(len(backs) - 1, int(len(backs) * 0.95))],
                "max": backs[-1],
            },
            "restarts_by_supervisor": self.restarts,
            **counted,
            "injected": [asdict(fault) for fault in self.injected],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(whole, indent=1))
        return whole

    def _felt(self, what: str, groups: tuple[str, ...]) -> "_Felt":
        return _Felt(self, what, groups)

    def ends(self, group: str) -> dict[TopicPartition, int]:
        """Where the inputs of a group end now."""
        wanted = [tp for s in self._inputs(group.split(",")) for tp in self._partitions(s)]
        reader = self._clients.reader("read_uncommitted")
        try:
            found: dict[TopicPartition, int] = reader.end_offsets(wanted)
            return found
        finally:
            reader.close()

    def lacking(self, group: str, ends: dict[TopicPartition, int]) -> dict[str, tuple[int, int]]:
        """Where the group has not consumed up to there: the place to (committed, wanted)."""
        name = f"{self.cluster.name}.{group.replace(',', '+')}"
        if not ends:
            return {}
        if self._admin is None:
            self._admin = self._opened.enter_context(self._clients.admin())
        try:
            found = self._admin.list_group_offsets([name])[name]
        except Exception:
            self._admin = None
            self._opened.close()
            raise
        at = {tp: found[tp].offset if tp in found else -1 for tp in ends}
        return {
            f"{tp.topic}/{tp.partition}": (at[tp], end)
            for tp, end in ends.items()
            if end and at[tp] < end
        }

    def _inputs(self, parts: list[str]) -> set[Stream]:
        """What a group reads from the log: not what only its own services write."""
        others = set(self._services) - set(parts)
        parts = [name for name in parts if self._services[name].build]  # others commit no place
        written = {s for name in parts for s in self._services[name].writes}
        written -= {s for name in others for s in self._services[name].writes}
        return {s for name in parts for s in self._services[name].reads} - written

    def _partitions(self, stream: Stream) -> list[TopicPartition]:
        count = self.cluster.partitions if stream in PARTITIONED else 1
        return [TopicPartition(f"{self.cluster.name}.{stream}", p) for p in range(count)]

    def since_s(self) -> float:
        """Seconds since the programme began."""
        return time.monotonic() - self._began


class _Felt:
    """Around one fault: waits until it is not felt any more."""

    def __init__(self, programme: Programme, what: str, groups: tuple[str, ...]) -> None:
        self._programme, self._what = programme, what
        self._groups = groups

    def __enter__(self) -> None:
        self._at_s = self._programme.since_s()

    def __exit__(self, kind: Any, _error: Any, _trace: Any) -> None:
        if kind is not None:
            return
        over_s = self._programme.since_s()
        for group in self._groups:
            ends = lacking = None
            while lacking is None or lacking:
                ends = ends or self._asked(self._programme.ends, group)
                if ends is not None:
                    lacking = self._asked(self._programme.lacking, group, ends)
                self._programme.revive()
                time.sleep(0.1)
                if self._programme.since_s() - over_s > PATIENCE_S:
                    raise TimeoutError(f"{self._what}: {group} is not back: {lacking}")
        back_s = round(self._programme.since_s() - over_s, 2)
        self._programme.injected.append(Injected(self._what, round(self._at_s, 1), back_s))

    def _asked(self, question: Callable[..., Any], *about: Any) -> Any:
        """The answer; None while the broker gives none."""
        try:
            return question(*about)
        except (KafkaError, HeadraceError, KeyError):
            return None
