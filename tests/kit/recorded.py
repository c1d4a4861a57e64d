"""What every stage was given in one short run of the whole system, recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

from services import discover
from services.collector.replay import arrivals
from services.collector.sources.table import rows_of
from services.trainer.shell import InlineTraining
from shared import wiring
from shared.blobs.memory import MemoryBlobs
from shared.log.memory import MemoryLog
from shared.log.port import Append
from shared.messages.codec import decode, encode
from shared.messages.streams import EVENTS, LABELS, OUTCOMES, RAW
from shared.messages.types import Job, ModelEvent
from shared.models.live import LiveModel
from shared.problem.load import load_problem
from shared.problem.spec import OnVolume, Problem
from shared.registry.decisions import signed_by
from shared.registry.signing import Signer, Verifier, generate_key
from shared.runtime.fuse import Fused
from shared.stage import Record, Service, Tools
from tests.kit.runs import ELECTRICITY

ROWS = 900
KEY = Signer(generate_key())


def trusting(record: ModelEvent | Job) -> str:
    """`Tools.trusted` where `KEY` is the only key."""
    return signed_by(record, Verifier([KEY.public]))


def believing(record: ModelEvent | Job) -> None:
    """`Tools.trusted` of somebody who asks for no signature."""


GARBAGE = [
    b"\xff\xfe not json", b'{"id": "x"', b'{"id": "nsw-19960507T0000"}',
    b'{"id":"bad","time":"1996-05-09T00:00:00Z","region":"NSW","nswprice":7}',
]  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """`inputs`: per service, all records that its stage was given, in order."""

    problem: Problem
    services: list[Service]
    inputs: dict[str, list[Record]]
    outputs: list[Record]
    blobs: MemoryBlobs


def short_problem(freshness: int = 8) -> Problem:
    """The example with a job early on and a contest that ends within the recording."""
    problem = load_problem(ELECTRICITY)
    retraining = problem.retraining.model_copy(
        update={
            "triggers": [OnVolume(on="volume", outcomes=300)],
            "minimum": 200, "cooldown": 100, "effect_after": 40, "candidates": ["logistic"],
        }
    )  # fmt: skip
    promotion = problem.promotion.model_copy(update={"min_pairs": 64, "max_pairs": 128})
    acceptance = problem.acceptance.model_copy(update={"min_gain": -1.0, "beat_baselines": False})
    model = problem.model.model_copy(update={"freshness": freshness, "snapshot_every": 250})
    return problem.model_copy(
        update={"retraining": retraining, "promotion": promotion, "acceptance": acceptance,
                "model": model}
    )  # fmt: skip


def tools_over(outcomes: Any, problem: Problem, blobs: MemoryBlobs) -> Tools:
    """Tools in memory; background work happens in place."""
    return Tools(
        blobs=blobs,
        training=InlineTraining(outcomes, problem),
        verified=wiring.verifying(blobs, Verifier([KEY.public]), problem),
        signed=KEY.sign,
        trusted=trusting,
    )


def filled(problem: Problem, rows: int = ROWS) -> MemoryLog:
    """A log with the first rows of the example, garbage and odd labels between them."""
    source = ELECTRICITY.parent / "electricity.parquet"
    log = MemoryLog()
    with log.begin("source") as transaction:
        for n, arrival in enumerate(arrivals(islice(rows_of(source, problem), rows), problem)):
            at_ms = int(arrival.time.timestamp() * 1000)
            transaction.append([Append(arrival.stream, arrival.value, arrival.key, at_ms)])
            if n % 97 == 50:
                transaction.append([Append(EVENTS, GARBAGE[n % len(GARBAGE)], None, at_ms)])
            if n % 101 == 60:
                unknown = b'{"id":"nobody-%d","label":1}' % n
                transaction.append([Append(LABELS, unknown, None, at_ms)])
            if n % 103 == 70 and arrival.stream is LABELS:
                transaction.append([Append(LABELS, arrival.value, None, at_ms)])
    return log


def inputs_of(log: MemoryLog, fused: Fused) -> list[Record]:
    """The fused group's inputs, decoded."""
    records = log.read(fused.inputs, {}, 1_000_000)
    return [r if r.stream in RAW else _decoded(r) for r in records]


@cache
def recording() -> Recording:
    """One run, recorded; the same object for all tests."""
    problem = short_problem()
    log = filled(problem)
    services = [service for service in discover() if service.build is not None]
    fused: Fused
    produced: list[Record] = []

    def outcomes(start: int, end: int) -> Sequence[Any]:
        made = [r for r in (*produced, *fused.produced) if r.stream is OUTCOMES]
        return [encode(r.value) for r in made[start:end]]

    blobs = MemoryBlobs()
    fused = Fused(services, problem, tools_over(outcomes, problem, blobs))
    fused.restore({})
    inputs: dict[str, list[Record]] = {name: [] for name in fused.names}
    for name, stage in zip(fused.names, fused.stages, strict=True):
        _spy(stage, inputs[name])
    records = inputs_of(log, fused)
    for at in range(0, len(records), 500):
        produced += fused.handle(records[at : at + 500])
    return Recording(problem, services, inputs, produced, blobs)


def _spy(stage: Any, seen: list[Record]) -> None:
    handle = stage.handle

    def spying(records: Sequence[Record]) -> Any:
        seen.extend(r for r in records if not isinstance(r.value, LiveModel))
        return handle(records)

    stage.handle = spying


def _decoded(record: Record) -> Record:
    value = decode(record.stream, record.value)
    return Record(
        record.stream, value, record.key, 0, record.offset, record.seq, record.timestamp_ms
    )
