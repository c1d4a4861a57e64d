"""Attacks on models in the running system: refused, nothing executed, answers unchanged, a page."""

import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lz4.frame
import msgspec
import numpy as np
import pytest

from services import discover
from services.scorer.core import Scorer
from shared.blobs.memory import MemoryBlobs
from shared.errors import UntrustedArtefact
from shared.log.memory import MemoryLog
from shared.messages.codec import encode
from shared.messages.streams import ALERTS, MODELS, OUTCOMES, PREDICTIONS, REJECTED
from shared.messages.types import ModelEvent
from shared.models import artefact as anchor_bytes
from shared.models.packed import pack
from shared.registry.decisions import sealed
from shared.registry.manifest import BlobRef
from shared.registry.signing import Signer, generate_key
from shared.runtime.fuse import Fused
from shared.stage import Out, Record
from tests.kit.recorded import KEY, filled, inputs_of, recording, short_problem, tools_over

ROWS, BEFORE, STEP = 640, 820, 24
OTHER = Signer(generate_key())


class System:
    """All services over the example; records of an attacker go in between."""

    def __init__(self) -> None:
        self.problem = short_problem()
        self.blobs = MemoryBlobs()
        self.produced: list[Record] = []
        tools = tools_over(self._outcomes, self.problem, self.blobs)
        services = [service for service in discover() if service.build is not None]
        self.fused = Fused(services, self.problem, tools)
        self.fused.restore({})
        log: MemoryLog = filled(self.problem, ROWS)
        self._inputs = inputs_of(log, self.fused)
        self._at = 0

    def feed(self, records: int) -> None:
        self.produced += self.fused.handle(self._inputs[self._at : self._at + records])
        self._at += records

    def attack(self, event: ModelEvent) -> None:
        """What somebody who may write on `models` could do."""
        seq = self._inputs[self._at - 1].seq
        forged = Record(MODELS, event, event.model, offset=10_000 + self._at, seq=seq)
        self.produced += self.fused.handle([forged])

    def said(self, stream: Any) -> list[Any]:
        return [record.value for record in self.produced if record.stream is stream]

    def _outcomes(self, start: int, end: int) -> list[bytes]:
        made = [r for r in (*self.produced, *self.fused.produced) if r.stream is OUTCOMES]
        return [encode(r.value) for r in made[start:end]]


class Command:
    """What a pickle would run."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._mark}",)


@dataclass(frozen=True)
class Forger:
    """Has the run's real challenger, its bytes, a way to put blobs down, and a name for the forgery."""

    genuine: ModelEvent
    artefact: bytes
    blobs: MemoryBlobs
    mark: Path
    version: str

    def changed(self, **fields: Any) -> ModelEvent:
        """The manifest with other fields, under the old signature."""
        manifest = {**(self.genuine.manifest or {}), "version": self.version, **fields}
        return msgspec.structs.replace(self.genuine, model=self.version, manifest=manifest)

    def signed(self, signer: Signer = KEY, **fields: Any) -> ModelEvent:
        """The same, signed: by default with the right key, as somebody inside could."""
        event = self.changed(**fields)
        return msgspec.structs.replace(event, manifest=signer.sign(event.manifest or {}))

    def with_blob(self, blob: bytes) -> ModelEvent:
        """Other content under a right digest and a right signature."""
        event = self.signed(artefact=msgspec.to_builtins(BlobRef.of(blob)))
        return msgspec.structs.replace(event, blob=self.blobs.put(blob))

    @property
    def command(self) -> bytes:
        return pickle.dumps(Command(self.mark))


def _zip_bomb() -> bytes:
    """1.2 MB that would be 300 MB of zeros."""
    bomb: bytes = lz4.frame.compress(bytes(300 * 2**20))
    return bomb


def _anchor(kind: str) -> bytes:
    return pack({"kind": np.frombuffer(kind.encode(), np.uint8), "odd": np.zeros(3)})


ATTACKS: list[tuple[str, Callable[[Forger], ModelEvent]]] = [
    ("not signed", lambda f: f.changed(signature=None)),
    ("changed after", lambda f: f.changed()),
    ("changed after", lambda f: f.changed(metrics={"accuracy": 1.0})),
    ("this is v2, not", lambda f: msgspec.structs.replace(f.genuine, model=f.version)),
    ("v2 came before", lambda f: f.genuine),
    ("unknown key", lambda f: f.signed(OTHER)),
    ("made for the problem", lambda f: f.signed(problem="another")),
    ("other features", lambda f: f.signed(features=["x"])),
    ("for the classes", lambda f: f.signed(classes=["down", "up"])),
    ("is not the one in its manifest", lambda f: msgspec.structs.replace(
        f.signed(), blob=f.blobs.put(f.artefact[:-1] + bytes([f.artefact[-1] ^ 1])))),
    ("bytes, its manifest says", lambda f: msgspec.structs.replace(
        f.signed(), blob=f.blobs.put(f.artefact[:-1]))),
    ("cut off", lambda f: f.with_blob(f.artefact[:-9])),
    ("cannot be read", lambda f: f.with_blob(f.command)),
    ("cannot be read", lambda f: f.with_blob(lz4.frame.compress(f.command))),
    ("larger than", lambda f: f.with_blob(_zip_bomb())),
    ("no anchor of kind", lambda f: f.with_blob(_anchor("mystery"))),
    ("the arrays are no anchor", lambda f: f.with_blob(_anchor("linear"))),
]  # fmt: skip


@pytest.mark.slow
def test_attacks_change_no_answer_and_raise_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchor_bytes, "MAX_ANCHOR_BYTES", 2**24)
    undisturbed, attacked = System(), System()
    undisturbed.feed(10 * BEFORE)
    attacked.feed(BEFORE)
    shadow = next(event for event in attacked.said(MODELS) if event.state == "shadow")
    mark, real = tmp_path / "executed", attacked.blobs.get(shadow.blob)
    for number, (words, attack) in enumerate(ATTACKS):
        forger = Forger(shadow, real, attacked.blobs, mark, f"v{100 + number}")
        attacked.attack(
            sealed(attack(forger), KEY.sign)
        )  # as somebody who may sign decisions could
        attacked.feed(STEP)
        refusals = _refusals(attacked)
        assert len(refusals) == number + 1, words
        assert words in refusals[-1].reason, refusals[-1].reason
        assert refusals[-1].topic.endswith(".models")
    attacked.feed(10 * BEFORE)
    assert not mark.exists(), "something was executed"
    mine, theirs = _answers(attacked), _answers(undisturbed)
    assert mine == theirs, "an attack changed an answer"
    pages = [alert for alert in attacked.said(ALERTS) if alert.cause == "untrusted_artefact"]
    assert {(page.kind, page.severity) for page in pages} == {("refused_artefact", "page")}
    assert pages[0].state == "open"
    assert not _refusals(undisturbed)
    states = {e.model: e.state for e in attacked.said(MODELS) if e.state != "snapshot"}
    assert {state for model, state in states.items() if len(model) == 4} == {"rejected"}


def _refusals(system: System) -> list[Any]:
    return [r for r in system.said(REJECTED) if r.check == UntrustedArtefact.check]


def _answers(system: System) -> list[bytes]:
    return [encode(prediction) for prediction in system.said(PREDICTIONS)]


def _as_a_process(attack: Callable[[ModelEvent], ModelEvent] | None) -> list[Out]:
    """The scorer by itself over what it was given; `attack` forges each snapshot's successor."""
    whole = recording()
    scorer = Scorer(whole.problem, tools_over(None, whole.problem, whole.blobs))
    outs: list[Out] = []
    at_hand: ModelEvent | None = None
    for record in whole.inputs["scorer"]:
        outs += scorer.handle([record])
        if record.stream is MODELS:
            at_hand = record.value if record.value.state == "snapshot" else at_hand
        elif attack and at_hand is not None:
            forged, at_hand = attack(at_hand), None
            outs += scorer.handle([Record(MODELS, forged, forged.model, offset=99_999)])
            scorer = _restarted(scorer, whole.problem, whole.blobs)
    return outs


def _restarted(scorer: Scorer, problem: Any, blobs: MemoryBlobs) -> Scorer:
    entries = {key: value for key, value in scorer.changes() if value is not None}
    fresh = Scorer(problem, tools_over(None, problem, blobs))
    fresh.restore(entries)
    return fresh


def _with(event: ModelEvent, signer: Signer | None, **fields: Any) -> ModelEvent:
    manifest: Mapping[str, Any] = {**(event.manifest or {}), **fields}
    manifest = signer.sign(manifest) if signer else manifest
    return msgspec.structs.replace(event, manifest=dict(manifest))


SNAPSHOTS: list[tuple[str, Callable[[ModelEvent], ModelEvent]]] = [
    ("old snapshot", lambda event: event),
    ("changed after", lambda event: _with(event, None, end=10**9)),
    ("unknown key", lambda event: _with(event, OTHER, end=10**9)),
    ("not signed", lambda event: _with(event, None, end=10**9, signature=None)),
    ("no model manifest", lambda event: msgspec.structs.replace(event, manifest=None)),
    ("is not a SHA-256", lambda event: msgspec.structs.replace(
        _with(event, KEY, end=event.outcomes + 1), blob="../../etc/passwd")),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("words", "attack"), SNAPSHOTS)
def test_a_scorer_goes_on_with_the_snapshot_at_hand(
    words: str, attack: Callable[[ModelEvent], ModelEvent]
) -> None:
    undisturbed, attacked = _as_a_process(None), _as_a_process(attack)
    answers = [[encode(o.value) for o in outs if o.stream is PREDICTIONS]
               for outs in (undisturbed, attacked)]  # fmt: skip
    assert answers[0] == answers[1], "an attack changed an answer"
    refused = [o.value.reason for o in attacked if o.stream is REJECTED]
    assert refused and all(words in reason for reason in refused)
    assert all(o.stream is not REJECTED for o in undisturbed)
