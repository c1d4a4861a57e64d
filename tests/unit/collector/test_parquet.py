import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.collector.sources.table import rows_of
from tests.unit.collector.rows import (
    PROBLEM,
    columns,
    parquet_of,
)


def test_parquet_a_row(tmp_path: Path) -> None:
    (row,) = parquet_of(tmp_path, columns())
    assert row.event == (
        b'{"id":"a","at":"2024-01-01T00:00:00.001500Z","amount":0.1,"count":3,"open":true,'
        b'"colour":"red"}'
    )
    assert row[1:] == (1, "a", datetime(2024, 1, 1, 0, 0, 0, 1500, UTC), "red")


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1_704_067_200], pa.timestamp("s")),
        pa.array([1_704_067_200_000], pa.timestamp("ms", "UTC")),
        pa.array([1_704_067_200_000_000_999], pa.timestamp("ns", "Asia/Tokyo")),
    ],
)
def test_parquet_times_are_utc_to_the_microsecond(tmp_path: Path, array: pa.Array) -> None:
    (row,) = parquet_of(tmp_path, columns(at=array))
    assert json.loads(row.event)["at"] == "2024-01-01T00:00:00Z"
    assert row.time == datetime(2024, 1, 1, tzinfo=UTC)


def test_parquet_a_time_beyond_the_calendar_is_missing(tmp_path: Path) -> None:
    (row,) = parquet_of(tmp_path, columns(at=pa.array([2**62], pa.timestamp("us"))))
    assert json.loads(row.event)["at"] is None


@given(bits=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
def test_parquet_float32_is_the_shortest_number_that_reads_back(
    tmp_path: Path, bits: list[int]
) -> None:
    values = np.array(bits, np.uint32).view(np.float32)
    count = len(values)
    rows = parquet_of(
        tmp_path,
        {
            name: pa.array(values) if name == "amount" else pa.nulls(count, array.type)
            for name, array in columns().items()
        },
    )
    for value, row in zip(values, rows, strict=True):
        read = json.loads(row.event)["amount"]
        if np.isnan(value):
            assert read is None
        elif np.isinf(value):
            assert read == ("Infinity" if value > 0 else "-Infinity")
        else:
            assert np.float32(read) == value
            assert read == float(str(value))


def test_parquet_missing_values_are_null_and_labels_may_be_missing(tmp_path: Path) -> None:
    nothing = {name: pa.nulls(2, array.type) for name, array in columns().items()}
    for row in parquet_of(tmp_path, nothing):
        assert set(json.loads(row.event).values()) == {None}
        assert row[1:] == (None, None, None, None)


def test_parquet_labels_in_another_dress(tmp_path: Path) -> None:
    for array in (pa.array([1.0]), pa.array([True]), pa.array(["1"])):
        (row,) = parquet_of(tmp_path, columns(y=array))
        assert row.label == 1
        assert type(row.label) is int


def test_parquet_other_types(tmp_path: Path) -> None:
    more = {
        "price": pa.array([Decimal("1.25")]),
        "day": pa.array([19_723], pa.date32()),
        "half": pa.array([0.5], pa.float16()),
        "tags": pa.array([["x", None]]),
        "nested": pa.array([{"a": 1.5}]),
    }
    (row,) = parquet_of(tmp_path, columns(**more))
    event = json.loads(row.event)
    assert {name: event[name] for name in more} == {
        "price": 1.25, "day": "2024-01-01", "half": 0.5, "tags": ["x", None], "nested": {"a": 1.5},
    }  # fmt: skip


def test_parquet_as_pandas_writes_it(tmp_path: Path) -> None:
    frame = pd.DataFrame({name: array.to_pylist() for name, array in columns().items()})
    frame["at"] = pd.to_datetime(frame["at"])
    frame["amount"] = [np.nan]
    frame.to_parquet(tmp_path / "pandas.parquet")
    (row,) = rows_of(tmp_path / "pandas.parquet", PROBLEM)
    assert json.loads(row.event)["amount"] is None
    assert row.time == datetime(2024, 1, 1, 0, 0, 0, 1500, UTC)


def test_parquet_many_batches_keep_their_order(tmp_path: Path) -> None:
    count = 4_501
    table = {name: pa.concat_arrays([array] * count) for name, array in columns().items()}
    table["id"] = pa.array([str(n) for n in range(count)])
    assert [row.id for row in parquet_of(tmp_path, table)] == [str(n) for n in range(count)]


_WITHOUT_PANDAS = """
import sys
from pathlib import Path
from services.collector.sources.table import rows_of
from shared.problem.spec import Problem
events = {"id": "id", "time": "time", "fields": {}}
problem = Problem(name="e", goal="g", task="binary", events=events, label={"field": "rises"})
rows = list(rows_of(Path("examples/electricity/electricity.parquet"), problem))
assert len(rows) == 45_312 and rows[0].event.startswith(b'{"id":"nsw-19960507T0000"')
assert "pandas" not in sys.modules
"""


def test_parquet_is_read_without_pandas() -> None:
    """Its import costs 0.9 s of CPU: more than reading the whole example does."""
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", _WITHOUT_PANDAS], check=True, cwd=root)
