"""Sweeping: blobs that nothing names go, in two steps; those that a replay could ask for stay."""

from datetime import UTC, datetime
from typing import Literal

from shared.blobs.memory import MemoryBlobs
from shared.log.memory import MemoryLog
from shared.log.port import Append
from shared.messages.codec import encode
from shared.messages.streams import MODELS
from shared.messages.types import ModelEvent
from shared.runtime.sweeping import Sweep

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def event(blob: str, state: Literal["snapshot", "shadow"] = "snapshot", **more: object) -> Append:
    step = ModelEvent(model="v1", state=state, time=T0, blob=blob, **more)  # type: ignore[arg-type]
    return Append(MODELS, encode(step))


def put(log: MemoryLog, *records: Append) -> None:
    with log.begin("learner") as transaction:
        transaction.append(records)


def test_what_nothing_names_goes_the_second_time_it_is_found() -> None:
    blobs, log = MemoryBlobs(), MemoryLog()
    lost, kept = blobs.put(b"lost"), blobs.put(b"kept")
    put(log, event(kept))
    sweep = Sweep(blobs, kept=1)
    assert sweep.run(log) == 0 and sweep.run(log) == 1
    assert set(blobs.digests()) == {kept} and lost != kept


def test_old_snapshots_go_but_not_those_a_replay_reads_nor_what_decisions_and_states_name() -> (
    None
):
    blobs, log = MemoryBlobs(), MemoryLog()
    snapshots = [blobs.put(b"%d" % n) for n in range(10)]
    decided, library, stated = (blobs.put(what) for what in (b"artefact", b"library", b"pool"))
    manifest = {"model": {"estimator": library}}
    signed = [event(digest, manifest={"artefact": {"digest": digest}}) for digest in snapshots]
    put(log, event(decided, "shadow", manifest=manifest), *signed)
    with log.begin("learner") as transaction:
        transaction.save([("learner/state", b"\x81pool" + stated.encode())], {"outcomes": 5})
    with log.begin("scorer") as transaction:  # has read the artefact's record and 7 snapshots
        transaction.save([("scorer/state", b"")], {"models": 8})
    sweep = Sweep(blobs, kept=1)
    sweep.run(log)
    assert sweep.run(log) == 6
    assert set(blobs.digests()) == {*snapshots[6:], decided, library, stated}


def test_a_new_snapshot_is_never_swept_before_it_is_named() -> None:
    blobs, log = MemoryBlobs(), MemoryLog()
    sweep = Sweep(blobs, kept=1)
    fresh = blobs.put(b"fresh")  # put down, its transaction is still open
    sweep.run(log)
    put(log, event(fresh))
    sweep.run(log)
    assert set(blobs.digests()) == {fresh}
