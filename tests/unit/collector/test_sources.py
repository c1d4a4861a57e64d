import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.collector.sources.label_lines import label_lines
from services.collector.sources.row import time_of
from services.collector.sources.table import SOURCES, rows_of
from shared.errors import UsageError
from shared.problem.cells import number_of
from tests.unit.collector.rows import (
    HEADER,
    PROBLEM,
    columns,
    csv_of,
    parquet_of,
)


def test_all_formats_say_the_same(tmp_path: Path) -> None:
    lines = [
        {"id": f"e{n}", "at": f"2024-01-0{n}T00:00:00Z", "amount": n / 8, "count": n,
         "open": n % 2 == 0, "colour": "red", "note": None, "y": n % 2}
        for n in range(1, 6)
    ]  # fmt: skip
    frame = pd.DataFrame(lines)
    frame.to_csv(tmp_path / "e.csv", index=False)
    frame.to_csv(tmp_path / "e.tsv", index=False, sep="\t")
    frame.astype({"note": "string"}).to_parquet(tmp_path / "e.parquet")
    (tmp_path / "e.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "e.ndjson").write_text("\n".join(map(json.dumps, lines)))
    seen = []
    for suffix in SOURCES:
        rows = list(rows_of(tmp_path / f"e{suffix}", PROBLEM))
        seen.append([(json.loads(row.event), *row[1:]) for row in rows])
    assert all(rows == seen[0] for rows in seen)
    assert len(seen[0]) == 5


@pytest.mark.parametrize("name", ["e.xlsx", "events", "absent.csv"])
def test_files_that_cannot_be_read_say_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"convert|no such file"):
        rows_of(tmp_path / name, PROBLEM)


def test_missing_columns_are_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        csv_of(tmp_path, header="id,at,amuont,count,open,y,y2")
    text = str(caught.value)
    assert "`amount`" in text
    assert "Did you mean `amuont`?" in text
    assert "events.key" in text
    assert "`note`" not in text
    with pytest.raises(UsageError, match="twice"):
        csv_of(tmp_path, header=HEADER + ",id")
    with pytest.raises(UsageError, match="empty"):
        csv_of(tmp_path, header="")
    wanted = columns()
    del wanted["count"]
    with pytest.raises(UsageError, match="`count`"):
        parquet_of(tmp_path, wanted)


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "e.parquet").write_bytes(b"PAR1 or so")
    with pytest.raises(UsageError, match="cannot be read as Parquet"):
        list(rows_of(tmp_path / "e.parquet", PROBLEM))


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2024-01-01T02:00:00+02:00", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01 00:00", datetime(2024, 1, 1, tzinfo=UTC)),
        (1_704_067_200, datetime(2024, 1, 1, tzinfo=UTC)),
        (1_704_067_200_000.0, datetime(2024, 1, 1, tzinfo=UTC)),
        ("soon", None), (None, None), (True, None), (1e300, None), (float("nan"), None), ([], None),
        ("9999-12-31T23:59:59-10:00", None),
    ],
)  # fmt: skip
def test_times(value: Any, time: datetime | None) -> None:
    assert time_of(value) == time


@given(value=st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_any_json_number_is_a_number(value: float) -> None:
    assert number_of(msgspec.json.encode(value).decode()) == value


def test_label_lines_first_those_with_a_time(tmp_path: Path) -> None:
    lines = [b'{"id":"a"}', b"garbage", b'{"id":"b","time":"2024-01-01T00:00:00Z"}', b'{"time":3}']
    (tmp_path / "labels.jsonl").write_bytes(b"\n".join(lines))
    found = list(label_lines(tmp_path / "labels.jsonl"))
    assert [line.value for line in found] == [lines[2], lines[3], lines[0], lines[1]]
    assert [line.id for line in found] == ["b", None, "a", None]
