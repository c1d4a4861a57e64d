"""One suite for every archive backend, and what is promised of the Parquet files themselves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.archive.parquet import ParquetArchive
from shared.archive.port import Archive
from shared.errors import Fatal
from shared.messages.streams import OUTCOMES, PREDICTIONS
from shared.messages.types import Outcome, Prediction
from shared.problem.spec import Problem

START = datetime(2024, 2, 29, 23, 59, 58, 123456, tzinfo=UTC)
BACKENDS: dict[str, Callable[[Path, Problem], Archive]] = {"parquet": ParquetArchive}


def problem_of(task: str = "binary", classes: list[Any] | None = None) -> Problem:
    return Problem.model_validate(
        {
            "name": "toy",
            "goal": "a test",
            "task": task,
            "events": {"fields": {"x": {"type": "number"}}},
            "label": {"field": "y", "classes": classes or [0, 1]},
        }
    )


def outcome(n: int, **changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "id": f"e{n}",
        "key": None if n % 3 else "k",
        "time": START + timedelta(minutes=n),
        "features": {"x": n / 3, "missing": None, "of day": float(n)},
        "feature_set": "fs",
        "prediction": n % 2,
        "probabilities": {"0": 0.25, "1": 0.75},
        "model": "v1",
        "shadow": {"v2": {"prediction": 1}} if n % 5 == 0 else None,
        "rules": ["a", "b"] if n % 4 == 0 else None,
        "said": "c2FpZA==",
        "arrival": "Y2FtZQ==",
        "scored_at": START,
        "fields": {"x": None, "town": "a"} if n % 10 == 0 else None,
        "label": None if n % 7 == 6 else 1,
        "labelled_at": START + timedelta(minutes=n + 30),
        "revision": n % 2,
    }
    return Outcome(**{**fields, **changes})


def prediction(n: int) -> Prediction:
    whole = outcome(n)
    names = Prediction.__struct_fields__
    return Prediction(**{name: getattr(whole, name) for name in names})


@pytest.fixture(params=BACKENDS)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    return BACKENDS[request.param](tmp_path, problem_of())


def test_what_was_written_is_read(archive: Archive) -> None:
    predictions, outcomes = [prediction(n) for n in range(20)], [outcome(n) for n in range(20)]
    archive.write(PREDICTIONS, 0, predictions)
    archive.write(OUTCOMES, 100, outcomes)
    assert archive.read(PREDICTIONS, 0, 20) == predictions
    assert archive.read(OUTCOMES, 100, 120) == outcomes
    assert archive.ranges(PREDICTIONS) == [(0, 20)]
    assert archive.ranges(OUTCOMES) == [(100, 120)]


def test_an_empty_archive_has_nothing(archive: Archive) -> None:
    archive.write(OUTCOMES, 0, [])
    assert archive.ranges(OUTCOMES) == []
    assert archive.read(OUTCOMES, 0, 100) == []


def test_a_longer_range_replaces_those_within_it(archive: Archive) -> None:
    everything = [outcome(n) for n in range(30)]
    archive.write(OUTCOMES, 0, everything[:10])
    archive.write(OUTCOMES, 10, everything[10:13])
    archive.write(OUTCOMES, 10, everything[10:20])
    assert archive.ranges(OUTCOMES) == [(0, 10), (10, 20)]
    archive.write(OUTCOMES, 12, everything[12:15])
    assert archive.ranges(OUTCOMES) == [(0, 10), (10, 20)]
    archive.write(OUTCOMES, 15, everything[15:30])
    assert archive.read(OUTCOMES, 0, 99) == everything


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    spans=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=6),
    start=st.integers(0, 45),
    length=st.integers(0, 45),
)
def test_any_ranges_read_as_a_dictionary_of_offsets_would(
    tmp_path_factory: pytest.TempPathFactory,
    spans: list[tuple[int, int]],
    start: int,
    length: int,
) -> None:
    archive = ParquetArchive(tmp_path_factory.mktemp("archive"), problem_of())
    held: dict[int, Outcome] = {}
    for first, count in spans:
        records = [outcome(first + n) for n in range(count)]
        archive.write(OUTCOMES, first, records)
        held |= {first + n: record for n, record in enumerate(records)}
    expected = [held[n] for n in sorted(held) if start <= n < start + length]
    assert archive.read(OUTCOMES, start, start + length) == expected


@pytest.mark.parametrize(
    ("task", "classes", "labels"),
    [
        ("regression", None, [1.5, -2.0, 3.0]),
        ("multiclass", ["red", "green"], ["red", "green", "red"]),
        ("binary", [False, True], [True, False, True]),
        ("multiclass", [1, 2, 3], [3, 1, 2]),
    ],
)
def test_labels_keep_their_type(
    tmp_path: Path, task: str, classes: list[Any] | None, labels: list[Any]
) -> None:
    problem = problem_of(task, classes)
    archive = ParquetArchive(tmp_path, problem)
    written = [
        outcome(n, label=label, prediction=label, probabilities=None, interval=(0.0, 1.0))
        for n, label in enumerate(labels)
    ]
    archive.write(OUTCOMES, 0, written)
    read = archive.read(OUTCOMES, 0, 3)
    assert read == written
    assert [type(record.prediction) for record in read] == [type(label) for label in labels]


def test_classes_and_features_that_some_records_lack(tmp_path: Path) -> None:
    archive = ParquetArchive(tmp_path, problem_of())
    archive.write(
        OUTCOMES,
        0,
        [
            outcome(0, features={"x": 1.0}, probabilities={"0": 1.0}),
            outcome(1, features={"z": 2.0}, probabilities={"0": 0.5, "1": 0.5}),
        ],
    )
    first, second = archive.read(OUTCOMES, 0, 2)
    assert first.features == {"x": 1.0, "z": None}
    assert second.features == {"x": None, "z": 2.0}
    assert first.probabilities == {"0": 1.0}


def test_the_same_range_is_the_same_file_to_the_byte(tmp_path: Path) -> None:
    for name in ("a", "b"):
        archive = ParquetArchive(tmp_path / name, problem_of())
        archive.write(OUTCOMES, 5_000, [outcome(n) for n in range(50)])
    file = "outcomes/000000005000-000000005050.parquet"
    assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    before = (tmp_path / "a" / file).read_bytes()
    ParquetArchive(tmp_path / "a", problem_of()).write(
        OUTCOMES, 5_000, [outcome(n) for n in range(50)]
    )
    assert (tmp_path / "a" / file).read_bytes() == before


def test_pandas_reads_the_folder_as_one_table(tmp_path: Path) -> None:
    archive = ParquetArchive(tmp_path, problem_of())
    archive.write(OUTCOMES, 0, [outcome(n) for n in range(10)])
    archive.write(OUTCOMES, 10, [outcome(n, label=None, key=None) for n in range(10, 12)])
    archive.write(OUTCOMES, 10, [outcome(n, label=None, key=None) for n in range(10, 14)])
    frame = pd.read_parquet(tmp_path / "outcomes")
    assert list(frame["offset"]) == list(range(14))
    assert list(frame["id"]) == [f"e{n}" for n in range(14)]
    assert frame["time"].dt.tz is not None
    assert list(frame["time"]) == [pd.Timestamp(START + timedelta(minutes=n)) for n in range(14)]
    assert frame["f_of day"].tolist() == [float(n) for n in range(14)]
    assert frame["f_missing"].isna().all()
    assert frame["p_1"].eq(0.75).all()
    assert frame["label"].isna().sum() == 1 + 4


def test_times_of_other_zones_are_written_in_utc(tmp_path: Path) -> None:
    east = datetime.fromisoformat("2024-03-01T02:00:00+02:00")
    archive = ParquetArchive(tmp_path, problem_of())
    archive.write(OUTCOMES, 0, [outcome(0, time=east, labelled_at=datetime(2024, 3, 1))])
    (read,) = archive.read(OUTCOMES, 0, 1)
    assert read.time == east
    assert read.time.utcoffset() == timedelta(0)
    assert isinstance(read, Outcome)
    assert read.labelled_at == datetime(2024, 3, 1, tzinfo=UTC)


def test_a_writer_that_died_between_write_and_tidy_leaves_no_row_twice(tmp_path: Path) -> None:
    archive = ParquetArchive(tmp_path, problem_of())
    archive.write(OUTCOMES, 0, [outcome(n) for n in range(4)])
    short = tmp_path / "outcomes" / "000000000000-000000000004.parquet"
    kept = short.read_bytes()
    archive.write(OUTCOMES, 0, [outcome(n) for n in range(9)])
    short.write_bytes(kept)
    assert archive.read(OUTCOMES, 0, 9) == [outcome(n) for n in range(9)]
    ParquetArchive(tmp_path, problem_of())
    assert not short.exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    archive = ParquetArchive(tmp_path, problem_of())
    archive.write(OUTCOMES, 0, [outcome(0)])
    (tmp_path / "outcomes" / "000000000000-000000000001.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(Fatal, match=r"000000000001\.parquet is damaged"):
        archive.read(OUTCOMES, 0, 1)


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    archive = ParquetArchive(tmp_path, problem_of())
    with monkeypatch.context() as patched:
        patched.setattr("shared.durable.os.fsync", full)
        with pytest.raises(Fatal, match="No space left"):
            archive.write(OUTCOMES, 0, [outcome(0)])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    archive.write(OUTCOMES, 0, [outcome(0)])
    assert archive.ranges(OUTCOMES) == [(0, 1)]
