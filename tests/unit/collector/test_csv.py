import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.collector.sources.row import Row
from services.collector.sources.table import rows_of
from tests.unit.collector.rows import (
    HEADER,
    PROBLEM,
    csv_of,
    problem_of,
)


def test_csv_cells_become_what_is_declared(tmp_path: Path) -> None:
    (row,) = csv_of(tmp_path, '007,2024-01-01T00:00:00Z,1.50,3,true,2,"a, ""b""\nc",1')
    assert json.loads(row.event) == {
        "id": "007",
        "at": "2024-01-01T00:00:00Z",
        "amount": 1.5,
        "count": 3,
        "open": True,
        "colour": 2,
        "note": 'a, "b"\nc',
    }
    assert row[1:] == (1, "007", datetime(2024, 1, 1, tzinfo=UTC), "2")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_empty_cells_short_rows_and_blank_lines(tmp_path: Path, end: str) -> None:
    rows = csv_of(tmp_path, "a,,,,,,,", "", "b", end=end)
    assert [json.loads(row.event)["id"] for row in rows] == ["a", "b"]
    for row in rows:
        assert set(json.loads(row.event).values()) == {row.id, None}
        assert row.label is None
        assert row.time is None


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("5", 5), ("-5.0", -5.0), ("1e3", 1000.0), (" 7", 7), ("nan", None), ("NA", None),
        ("", None), ("null", None), ("inf", "inf"), ("-Infinity", "-Infinity"), ("1e400", "1e400"),
        ("1_000", "1_000"), ("٣", "٣"), ("five", "five"), ("0x10", "0x10"),
    ],
)  # fmt: skip
def test_csv_numbers(tmp_path: Path, cell: str, value: Any) -> None:
    (row,) = csv_of(tmp_path, f"a,,{cell},,,,,")
    assert json.loads(row.event)["amount"] == value


def test_csv_what_does_not_fit_stays_for_the_validator(tmp_path: Path) -> None:
    (row,) = csv_of(tmp_path, "a,yesterday,x,2.5,maybe,purple,,7")
    event = json.loads(row.event)
    assert [event[name] for name in ("amount", "count", "open", "colour")] == [
        "x", 2.5, "maybe", "purple",
    ]  # fmt: skip
    assert row.time is None
    assert row.label == 7


@pytest.mark.parametrize(
    "line",
    [
        "a,b,c,d,e,f,g,h,i,too many",
        'a,"broken"quote,1,1,true,red,,1',
        "a,b,caf\udce9,1,,,,",
        "a,b,1,1,,,,caf\udce9",
    ],
)
def test_csv_a_row_that_cannot_be_read_is_passed_on_as_it_stands(
    tmp_path: Path, line: str
) -> None:
    raw = line.encode("utf-8", "surrogateescape")
    file = tmp_path / "events.csv"
    file.write_bytes(b"\n".join([HEADER.encode(), b"x,,,,,,,", raw, b"z,,,,,,,"]))
    rows = list(rows_of(file, PROBLEM))
    assert [row.id for row in rows] == ["x", None, "z"]
    assert rows[1] == Row(raw)


def test_csv_an_open_quote_swallows_the_rest_but_not_silently(tmp_path: Path) -> None:
    rows = csv_of(tmp_path, "a,,,,,,,", 'b,"open,,,,,,', "c,,,,,,,")
    assert rows[0].id == "a"
    assert rows[1:] == [Row(b'b,"open,,,,,,\nc,,,,,,,')]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_csv_delimiter_is_the_headers(tmp_path: Path, delimiter: str) -> None:
    (row,) = csv_of(
        tmp_path,
        delimiter.join(["a", "", "1.5", "", "", "", "x,y", "0"]),
        header=HEADER.replace(",", delimiter),
    )
    assert json.loads(row.event)["note"] == "x,y"
    assert row.label == 0


def test_csv_byte_order_mark_and_a_long_cell(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    text = "x" * 1_000_000
    file.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\na,,,,,,{text},1\n".encode())
    (row,) = rows_of(file, PROBLEM)
    assert json.loads(row.event)["note"] == text
    assert row.id == "a"


@pytest.mark.parametrize(
    ("classes", "cell", "label"),
    [
        ([0, 1], "1.0", 1), ([0, 1], "true", 1), ([False, True], "1", True), ([0, 1], "", None),
        (["0", "1"], "1", "1"), (["yes", "no"], "no", "no"), (["yes", "no"], "maybe", "maybe"),
        (["NA", "EU"], "NA", "NA"), ([0, 1], "nan", None),
    ],
)  # fmt: skip
def test_csv_labels_are_the_declared_classes(
    tmp_path: Path, classes: list[Any], cell: str, label: Any
) -> None:
    file = tmp_path / "events.csv"
    file.write_text(f"{HEADER}\na,,,,,,,{cell}\n")
    problem = problem_of(label={"field": "y", "classes": classes})
    (row,) = rows_of(file, problem)
    assert row.label == label
    assert type(row.label) is type(label)
