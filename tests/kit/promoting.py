"""A small problem in which a version is accepted, tried, promoted and taken back within 400 rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from services import discover
from shared.blobs.memory import MemoryBlobs
from shared.log.memory import MemoryLog
from shared.log.port import Append, Log
from shared.messages.codec import decode, encode
from shared.messages.streams import CONTROL, LABELS, OUTCOMES, Stream
from shared.messages.types import Control, Job
from shared.problem.spec import Canary, OnVolume, Problem
from shared.runtime.fuse import Fused
from shared.runtime.runner import Runner
from shared.stage import Record, Service, Tools
from tests.kit.recorded import filled, inputs_of, short_problem, tools_over

CANARY = Canary(share=0.05, by="event", pairs=64)
SHADOW_AT = 200
"""Outcomes after which v2 scores beside v1."""
Poison = Callable[[dict[str, Any]], dict[str, Any]]


def promoting(canary: Canary | None = CANARY, **promotion: Any) -> Problem:
    """A job at outcome 180, its result at 200; accuracy, contests of 64 to 128 pairs."""
    problem = short_problem(freshness=4)
    retraining = {"triggers": [OnVolume(on="volume", outcomes=180)], "minimum": 160,
                  "cooldown": 10_000, "effect_after": 20}  # fmt: skip
    changes = {
        "retraining": retraining,
        "model": {"experts": ["softmax", "counts"], "snapshot_every": 60},
        "evaluation": {"metric": "accuracy"},
        "promotion": {"canary": canary, **promotion},
    }
    return problem.model_copy(
        update={
            part: getattr(problem, part).model_copy(update=change)
            for part, change in changes.items()
        }
    )


def commanded(problem: Problem, rows: int, commands: Mapping[int, Control]) -> MemoryLog:
    """The example's first rows; each command stands behind so many labels."""
    whole, log, labels = filled(problem, rows), MemoryLog(), 0
    with log.begin("source") as transaction:
        for r in whole.read(tuple(Stream), {}, 100_000):
            transaction.append([Append(r.stream, r.value, r.key, r.timestamp_ms)])
            if r.stream is LABELS:
                labels += 1
                if labels in commands:
                    value = msgspec.json.encode(commands[labels])
                    transaction.append([Append(CONTROL, value, None, r.timestamp_ms)])
    return log


class Hostile:
    """A trainer whose results were tampered with before anybody signed them."""

    def __init__(self, honest: Any, poison: Poison) -> None:
        self._honest = honest
        self._poison = poison

    def result(self, job: Job) -> Mapping[str, Any]:
        return self._poison(dict(self._honest.result(job)))


def stages() -> list[Service]:
    """All services that fold."""
    return [service for service in discover() if service.build is not None]


class Whole:
    """All stages over `log`, in the runner of one process."""

    def __init__(
        self,
        log: Log,
        blobs: MemoryBlobs,
        problem: Problem,
        services: Sequence[Service] | None = None,
    ) -> None:
        services = services or stages()
        tools = tools_over(self._outcomes, problem, blobs)
        self.runner = Runner(
            log, "g", lambda: Fused(services, problem, tools), batch_size=60, checkpoint_every=100
        )

    def _outcomes(self, start: int, end: int) -> Sequence[Any]:
        return self.runner.outcomes(start, end)

    def drive(self) -> None:
        while self.runner.step():
            pass
        self.runner.checkpoint()


def produced(
    log: MemoryLog,
    problem: Problem,
    poison: Poison | None = None,
    tamper: Callable[[Tools], Tools] = lambda tools: tools,
    late: Iterable[Record] = (),
) -> list[Record]:
    """Everything that the stages make of the log's inputs (and of `late` ones, by their `seq`),
    with its `seq`.
    """
    made: list[Record] = []
    fused: Fused

    def outcomes(start: int, end: int) -> Sequence[Any]:
        found = [r for r in (*made, *fused.produced) if r.stream is OUTCOMES]
        return [encode(r.value) for r in found[start:end]]

    tools = tools_over(outcomes, problem, MemoryBlobs())
    if poison is not None:
        tools = replace(tools, training=Hostile(tools.training, poison))
    services = [service for service in discover() if service.build is not None]
    fused = Fused(services, problem, tamper(tools))
    fused.restore({})
    records = sorted([*inputs_of(log, fused), *late], key=lambda record: record.seq)
    for at in range(0, len(records), 50):
        made += fused.handle(records[at : at + 50])
    return [replace_value(record) for record in made]


def replace_value(record: Record) -> Record:
    """As whoever reads the log finds it."""
    value = decode(record.stream, encode(record.value))
    return msgspec.structs.replace(record, value=value)
