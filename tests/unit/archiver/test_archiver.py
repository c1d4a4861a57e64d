from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.archiver.shell import Archiver
from shared.archive.parquet import ParquetArchive
from shared.errors import Retryable
from shared.messages.streams import OUTCOMES, PREDICTIONS, Stream
from shared.messages.types import Outcome, Prediction
from shared.problem.spec import Problem
from shared.stage import Record

PROBLEM = Problem.model_validate(
    {
        "name": "toy",
        "goal": "a test",
        "task": "binary",
        "events": {"fields": {"x": {"type": "number"}}},
        "label": {"field": "y", "classes": [0, 1]},
    }
)
TIME = datetime(2024, 1, 1, tzinfo=UTC)


def record(stream: Stream, offset: int) -> Record:
    fields: dict[str, Any] = {
        "id": f"e{offset}",
        "time": TIME,
        "prediction": offset % 2,
        "model": "v1",
        "features": {"x": float(offset)},
        "feature_set": "fs",
    }
    value = Prediction(**fields) if stream is PREDICTIONS else Outcome(**fields, label=1)
    return Record(stream, value, offset=offset)


def stream_of(count: int) -> list[Record]:
    """Predictions, each outcome two records behind its prediction."""
    records = [record(PREDICTIONS, n) for n in range(count)]
    late = [record(OUTCOMES, n) for n in range(count - 2)]
    mixed = [r for pair in zip(records[2:], late, strict=True) for r in pair]
    return records[:2] + mixed


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.parquet")}


def archived(root: Path, records: list[Record], size: int = 10) -> dict[str, bytes]:
    archiver = Archiver(ParquetArchive(root, PROBLEM), size)
    archiver.follow(records)
    archiver.flush()
    return files(root)


def test_full_ranges_are_written_at_once_the_rest_by_flush(tmp_path: Path) -> None:
    archiver = Archiver(ParquetArchive(tmp_path, PROBLEM), 10)
    archiver.follow(stream_of(25))
    assert sorted(files(tmp_path)) == [
        "outcomes/000000000000-000000000010.parquet",
        "outcomes/000000000010-000000000020.parquet",
        "predictions/000000000000-000000000010.parquet",
        "predictions/000000000010-000000000020.parquet",
    ]
    archiver.flush()
    assert "predictions/000000000020-000000000025.parquet" in files(tmp_path)
    assert archiver.position() == {"predictions": 25, "outcomes": 23}


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cut=st.integers(0, 40),
    flushed=st.booleans(),
    batch=st.integers(1, 12),
)
def test_a_restart_anywhere_ends_with_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flushed: bool, batch: int
) -> None:
    records = stream_of(24)
    whole = archived(tmp_path_factory.mktemp("whole"), records)
    root = tmp_path_factory.mktemp("cut")
    first = Archiver(ParquetArchive(root, PROBLEM), 10)
    first.follow(records[:cut])
    if flushed:
        first.flush()
    second = Archiver(ParquetArchive(root, PROBLEM), 10)
    position = second.position()
    missing = [r for r in records if r.offset >= position[str(r.stream)]]
    for start in range(0, len(missing), batch):
        second.follow(missing[start : start + batch])
        second.follow(missing[start : start + batch])
    second.flush()
    assert files(root) == whole


def test_a_log_that_begins_later_begins_a_range(tmp_path: Path) -> None:
    archived(tmp_path, [record(OUTCOMES, n) for n in range(14)])
    archive = ParquetArchive(tmp_path, PROBLEM)
    later = Archiver(archive, 10)
    assert later.position()["outcomes"] == 10
    later.follow([record(OUTCOMES, n) for n in range(12, 25)])
    assert archive.ranges(OUTCOMES) == [(0, 10), (10, 14), (12, 22)]
    assert [o.id for o in archive.read(OUTCOMES, 0, 99)] == [f"e{n}" for n in range(22)]


def test_after_a_failure_the_ranges_stay_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [record(PREDICTIONS, n) for n in range(25)]
    whole = archived(tmp_path / "whole", records)
    archiver = Archiver(ParquetArchive(tmp_path / "failing", PROBLEM), 10)

    def fail(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("shared.durable.os.fsync", fail)
        with pytest.raises(Retryable):
            archiver.follow(records)
    archiver.follow(records)
    archiver.flush()
    assert files(tmp_path / "failing") == whole


def test_what_is_in_no_full_range_must_stay_on_the_log(tmp_path: Path) -> None:
    archiver = Archiver(ParquetArchive(tmp_path, PROBLEM), 10)
    archiver.follow(stream_of(25))
    archiver.flush()
    assert archiver.written() == {"predictions": 20, "outcomes": 20}
    assert Archiver(ParquetArchive(tmp_path, PROBLEM), 10).written() == archiver.written()
