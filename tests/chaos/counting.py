"""What came of a run on Kafka, counted by readers that had no part in it."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from services.learner import SERVICE
from services.learner.core import Learner, _State
from services.process import _published_often
from shared import wiring
from shared.blobs.memory import MemoryBlobs
from shared.log.kafka_clients import Clients
from shared.log.kafka_reader import KafkaReader
from shared.log.kafka_topics import Places
from shared.messages.streams import OUTCOMES
from shared.models.codec import to_bytes
from shared.problem.load import load_problem
from shared.runtime.runner import decoded
from shared.settings import Settings
from shared.stage import Tools


def counted(
    sent: Sequence[str],
    predictions: Sequence[dict[str, Any]],
    outcomes: Sequence[dict[str, Any]],
) -> dict[str, int]:
    """Lost, doubled, reordered predictions; labels learned never or twice."""
    times = Counter(p["id"] for p in predictions)
    labels = Counter(o["id"] for o in outcomes if o.get("revision", 0) == 0)
    place = {name: n for n, name in enumerate(sent)}
    by_key: dict[str, list[int]] = {}
    for p in predictions:
        by_key.setdefault(p.get("key") or "", []).append(place[p["id"]])
    return {
        "sent": len(sent),
        "predictions": len(predictions),
        "lost": sum(times[name] == 0 for name in sent),
        "doubled": sum(count > 1 for count in times.values()),
        "reordered": sum(a > b for row in by_key.values() for a, b in pairwise(row)),
        "labels_lost": sum(labels[name] == 0 for name in sent),
        "labels_doubled": sum(count > 1 for count in labels.values()),
    }


def learned(
    address: str, name: str, problem_file: Path, data_dir: Path, group: str = "learner"
) -> tuple[bytes, bytes, int]:
    """The learner's saved pool, the pool of a fold over the log from nothing, and its outcomes.

    `group`: whose checkpoint holds it, where it is fused with others.
    """
    problem = _published_often(load_problem(problem_file), [SERVICE])
    reader = KafkaReader(Clients(address), Places(name), wiring.SHARED)
    reader.end(OUTCOMES)
    entries = reader._here.state.group(group).entries
    saved = msgspec.msgpack.decode(entries["learner/state"], type=_State)
    blobs = wiring.open_blobs("", data_dir)
    signed = wiring.open_keys(Settings(), data_dir).signer.sign
    tools = Tools(MemoryBlobs(), None, lambda *a: b"", signed, lambda record: None)  # type: ignore[arg-type]
    learner = Learner(problem, tools)
    position: dict[str, int] = {}
    while records := reader.read([OUTCOMES], position, 5_000):
        list(learner.handle(decoded(records)))
        position = {"outcomes": records[-1].offset + 1}
    reader.close()
    return blobs.get(saved.pool), to_bytes(learner._pool), saved.outcomes
