import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.collector.replay import arrivals
from services.collector.sources.jsonl_rows import jsonl_rows, members_of
from services.collector.sources.row import Row
from services.collector.sources.table import rows_of
from tests.unit.collector.rows import (
    HEADER,
    PROBLEM,
    jsonl_of,
)


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
