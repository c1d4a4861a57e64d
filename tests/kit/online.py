"""Predictions on a log in memory, as the online view follows them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Lock

from shared.log.memory import MemoryLog
from shared.log.port import Append, Log
from shared.messages.codec import encode
from shared.messages.streams import PREDICTIONS, Stream
from shared.messages.types import Prediction
from shared.online.port import Online, State
from shared.problem.load import load_problem
from shared.problem.spec import Problem
from shared.stage import Record
from tests.kit.runs import ELECTRICITY

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """Stands until it is told."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class SharedLog(MemoryLog):
    """A log in memory that one thread writes while another reads."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = Lock()

    def read(
        self, streams: "tuple[Stream, ...] | list[Stream]", position: dict[str, int], limit: int
    ) -> list[Record]:  # type: ignore[override]
        with self._turn:
            return super().read(streams, position, limit)

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._turn:
            yield


def problem() -> Problem:
    return load_problem(ELECTRICITY)


def predict(log: Log, start: int, end: int, entities: int = 50, model: str = "v1") -> None:
    """Predictions `id0`, `id1`, … of the entities `key0`, `key1`, … in turns, in one transaction."""
    with log.begin("test") as transaction:
        transaction.append(
            Append(PREDICTIONS, encode(prediction(i, entities, model)), f"key{i % entities}")
            for i in range(start, end)
        )


def prediction(i: int, entities: int = 50, model: str = "v1") -> Prediction:
    return Prediction(
        id=f"id{i}",
        key=f"key{i % entities}",
        time=START + timedelta(seconds=i),
        prediction="up",
        model=model,
        features={"nth": float(i), "lag_1": i - 1.0, "missing": None},
        feature_set="f" * 16,
        probabilities={"up": 0.75, "down": 0.25},
        said="AAAA" * 20,
    )


def entities_of(store: Online, count: int) -> dict[str, int]:
    """Which offset each entity is at; without those that are missing."""
    found = {f"key{i}": store.get("entity", f"key{i}")[0] for i in range(count)}
    return {key: held[1] for key, held in found.items() if held is not None}


def newest(end: int, entities: int) -> dict[str, int]:
    """The oracle: which offset each entity must be at."""
    return {f"key{i % entities}": i for i in range(end)}


def is_whole(store: Online) -> bool:
    state: State | None = store.state()
    return state is not None and state.at_ms is not None
