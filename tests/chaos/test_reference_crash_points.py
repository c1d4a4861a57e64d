"""Crash points of lookups, enumerated: validator, featurizer and auditor over events and references.

The undisturbed run is the oracle; the log must end the same wherever it was touched last.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pytest

from services import discover
from shared.errors import Retryable
from shared.log.memory import MemoryLog
from shared.log.port import Append, Log
from shared.messages.codec import decode, encode
from shared.messages.streams import (
    AUDITS,
    CONTROL,
    FEATURES,
    PREDICTIONS,
    REFERENCES,
    REJECTED,
    Stream,
)
from shared.messages.types import Audit, Control, Features, Prediction
from shared.runtime.fuse import Fused
from shared.runtime.runner import Runner
from shared.stage import Out, Record, Service
from tests.kit.crashing import Crash, CrashingLog
from tests.kit.referring import START, problem, records

SPEC = problem(customers={"keep": 2, "expire": "30m"})
WRITTEN = (PREDICTIONS, REJECTED, AUDITS)


class Repeating:
    """A scorer that passes on what it is given."""

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        for record in records:
            made: Features = record.value
            said = Prediction(
                id=made.id, time=made.time, prediction=1, model="v1", features=made.features,
                feature_set=made.feature_set, key=made.key, references=made.references,
                unfound=made.unfound,
            )  # fmt: skip
            yield Out(PREDICTIONS, said, record, record.key)

    def changes(self) -> Iterable[tuple[str, bytes | None]]:
        return ()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        pass


def services() -> list[Service]:
    wanted = ("validator", "featurizer", "auditor")
    scorer = Service(
        "scorer", (FEATURES,), (PREDICTIONS,), "per-partition", 30, lambda p, t: Repeating()
    )
    found = [s for s in discover() if s.name in wanted] + [scorer]
    return sorted(found, key=lambda service: service.place)


def filled() -> MemoryLog:
    log = MemoryLog()
    with log.begin("source") as transaction:
        transaction.append(
            Append(r.stream, r.value, r.key, r.timestamp_ms) for r in records(4, 45)
        )
        end = encode(Control(command="end", time=START))
        transaction.append([Append(CONTROL, end)])
    return log


def drive(log: Log, batch: int = 9) -> None:
    def fuse() -> Fused:
        return Fused(services(), SPEC, tools=None)  # type: ignore[arg-type]

    runner = Runner(log, "g", fuse, batch, checkpoint_every=20)
    for _ in range(100):
        try:
            while runner.step():
                pass
            return runner.checkpoint()
        except Retryable:
            continue
    raise AssertionError("never finished")


def contents(log: Log) -> dict[Stream, list[bytes]]:
    return {s: [record.value for record in log.read([s], {}, 10_000)] for s in WRITTEN}


def test_dying_or_failing_anywhere_changes_nothing_that_was_looked_up() -> None:
    log = filled()
    counting = CrashingLog(log)
    drive(counting)
    expected = contents(log)
    said: list[Prediction] = [decode(PREDICTIONS, data) for data in expected[PREDICTIONS]]
    assert {why for one in said for why in (one.unfound or {}).values()} == {"missing", "too_old"}
    audits: list[Audit] = [decode(AUDITS, data) for data in expected[AUDITS]]
    assert sum(audit.compared for audit in audits) == len(said)
    assert not any(audit.features or audit.unmatched or audit.unfounded for audit in audits)
    assert any(b"p.references" in data for data in expected[REJECTED])
    for at in range(1, counting.touches + 1):
        log = filled()
        with pytest.raises(Crash):
            drive(CrashingLog(log, at))
        drive(log, batch=1_000)
        assert contents(log) == expected, f"dying at touch {at}"
        log = filled()
        drive(CrashingLog(log, at, Retryable))
        assert contents(log) == expected, f"going on after touch {at}"


def test_one_of_several_workers_says_what_is_wrong_with_a_reference() -> None:
    found = []
    for unsaid in (frozenset[Stream](), frozenset({REFERENCES})):
        log = filled()
        make = lambda: Fused(services(), SPEC, tools=None)  # type: ignore[arg-type]  # noqa: E731
        runner = Runner(log, "g", make, unsaid=unsaid)
        while runner.step():
            pass
        found.append({decode(REJECTED, data).topic for data in contents(log)[REJECTED]})
    assert found[0] - found[1] == {"p.references"}
