import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.collector.replay import arrivals
from services.collector.sources.jsonl_rows import jsonl_rows, members_of
from services.collector.sources.label_lines import label_lines
from services.collector.sources.row import Row, number_of, time_of
from services.collector.sources.table import SOURCES, rows_of
from shared.errors import UsageError
from shared.problem.spec import Problem

FIELDS = {
    "amount": {"type": "number"},
    "count": {"type": "integer"},
    "open": {"type": "boolean"},
    "colour": {"type": "category", "categories": ["red", "1", 2, True]},
    "note": {"type": "text", "required": False},
}


def problem_of(**changes: Any) -> Problem:
    events = {"id": "id", "time": "at", "key": "colour", "fields": FIELDS}
    label = {"field": "y", "classes": [0, 1]}
    return Problem.model_validate(
        {"name": "toy", "goal": "a test", "task": "binary", "events": events, "label": label}
        | changes
    )


PROBLEM = problem_of()
HEADER = "id,at,amount,count,open,colour,note,y"


def csv_of(tmp_path: Path, *lines: str, header: str = HEADER, end: str = "\n") -> list[Row]:
    file = tmp_path / "events.csv"
    file.write_text(end.join([header, *lines]) + end, newline="")
    return list(rows_of(file, PROBLEM))


def jsonl_of(tmp_path: Path, data: bytes) -> list[Row]:
    file = tmp_path / "events.jsonl"
    file.write_bytes(data)
    return list(rows_of(file, PROBLEM))


def parquet_of(tmp_path: Path, columns: dict[str, Any], problem: Problem = PROBLEM) -> list[Row]:
    file = tmp_path / "events.parquet"
    pq.write_table(pa.table(columns), file)
    return list(rows_of(file, problem))


# --- CSV -----------------------------------------------------------------------------------------


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


# --- JSON lines ----------------------------------------------------------------------------------


def test_jsonl_only_the_label_is_cut_out(tmp_path: Path) -> None:
    line = (
        b' {"id": "a", "amount": 1.50, "big": 123456789012345678901, "y" : 1 , "id2": "\\u00e9"} '
    )
    (row,) = jsonl_of(tmp_path, line)
    assert row.event == (
        b'{"id": "a", "amount": 1.50, "big": 123456789012345678901, "id2": "\\u00e9"}'
    )
    assert (row.label, row.id) == (1, "a")


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b'{"y":1}', b"{}"), (b'{"y":1,"a":2}', b'{"a":2}'), (b'{"a":2,"y":1}', b'{"a":2}'),
        (b'{"a":2 , "y":1 }', b'{"a":2  }'), (b'{"a":2, "\\u0079": 0}', b'{"a":2}'),
        (b'{"a":"y","b":{"y":3},"y":1}', b'{"a":"y","b":{"y":3}}'),
    ],
)  # fmt: skip
def test_jsonl_cutting(tmp_path: Path, line: bytes, event: bytes) -> None:
    (row,) = jsonl_of(tmp_path, line)
    assert row.event == event
    assert row.label in (0, 1)


@pytest.mark.parametrize(
    "line",
    [
        b"garbage", b"\xff\xfe\x00", b"[1,2]", b"3", b'{"id":"a","y":1', b'{"id":"a","y":1}}',
        b'{"y":1,"y":0}', b'{"id":"a"}', b'{"a":1,}', b"{'a':1}", b'{"a" 1}', b"{1:2}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b',"y":1}', b'{"a":"\xff","y":1}',
        b'{"a":' + b"9" * 5_000 + b',"y":1}',
    ],
)  # fmt: skip
def test_jsonl_other_lines_are_passed_on_untouched(tmp_path: Path, line: bytes) -> None:
    rows = jsonl_of(tmp_path, line + b"\n\n\r\n" + line)
    assert [row.event for row in rows] == [line, line]
    assert [row.label for row in rows] == [None, None]


def test_jsonl_repeated_names_stay_for_the_validator(tmp_path: Path) -> None:
    (row,) = jsonl_of(tmp_path, b'{"amount":1,"amount":2,"y":1}')
    assert row.event == b'{"amount":1,"amount":2}'


def test_jsonl_half_a_character_is_no_name(tmp_path: Path) -> None:
    line = b'{"id":"\\ud800","colour":"\\udfff","at":"\\ud800"}'
    (row,) = jsonl_of(tmp_path, line)
    assert row == Row(line)


def test_jsonl_a_label_that_is_no_scalar_stays_visible(tmp_path: Path) -> None:
    (row,) = jsonl_of(tmp_path, b'{"id":"a","y":[1, 2]}')
    assert row.label == "[1, 2]"
    (row,) = jsonl_of(tmp_path, b'{"id":"a","y":NaN}')
    assert row.label is None
    (row,) = jsonl_of(tmp_path, b'{"id":"a","y":"\\ud800"}')
    assert row.label == '"\\ud800"'
    (row,) = jsonl_of(tmp_path, b'{"id":"a","y":Infinity}')
    assert row.label == "Infinity"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(
    value=st.dictionaries(st.sampled_from(["y", "a", "é", 'q"', ""]), JSON, max_size=5),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_members_are_those_of_a_full_parser(
    value: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    members = members_of(text)
    assert {member.name: member.value for member in members} == value
    for member in members:
        assert json.loads(text[member.value_start : member.end]) == member.value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    data=st.binary(max_size=60) | st.text(alphabet='{}[]",:y1 \\u', max_size=30).map(str.encode)
)
def test_jsonl_any_bytes_give_their_lines_and_never_an_error(tmp_path: Path, data: bytes) -> None:
    rows = jsonl_of(tmp_path, b'{"id":"first"}\n' + data)
    assert len(rows) == 1 + len([line for line in data.split(b"\n") if line.strip()])
    for arrival in arrivals(rows, PROBLEM):
        assert arrival.key is None or arrival.key.encode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.binary(max_size=60) | st.text(alphabet='",;1\nén\r', max_size=30).map(str.encode))
def test_csv_any_bytes_give_arrivals_and_never_an_error(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(HEADER.encode() + b"\n" + data)
    for arrival in arrivals(rows_of(file, PROBLEM), PROBLEM):
        assert arrival.key is None or arrival.key.encode()


def test_jsonl_a_huge_line_comes_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.collector.sources.jsonl_rows._LONGEST_LINE", 10)
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"x" * 25 + b"\n{}\n")
    assert [row.event for row in jsonl_rows(file, PROBLEM)] == [
        b"x" * 10,
        b"x" * 10,
        b"x" * 5,
        b"{}",
    ]


# --- Parquet -------------------------------------------------------------------------------------


def columns(**changes: Any) -> dict[str, Any]:
    return {
        "id": pa.array(["a"]),
        "at": pa.array([datetime(2024, 1, 1, 0, 0, 0, 1500)], pa.timestamp("us", "UTC")),
        "amount": pa.array([0.1], pa.float32()),
        "count": pa.array([3], pa.int8()),
        "open": pa.array([True]),
        "colour": pa.array(["red"]).dictionary_encode(),
        "y": pa.array([1], pa.int8()),
    } | changes


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
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
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


# --- what all share ------------------------------------------------------------------------------


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
