"""References on their way in: from files by their time, over HTTP all or none."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from services.collector.bodies import references_of
from services.collector.replay import arrivals
from services.collector.sources.reference_rows import reference_lines
from services.collector.sources.row import Row
from shared.errors import Reject, UsageError
from shared.features.references import ReferenceReader
from shared.messages.streams import EVENTS, REFERENCES
from shared.problem.naming import reference_key
from shared.problem.spec import Problem
from shared.runtime.intake import Document
from tests.kit.referring import START, problem


def said(key: int, minutes: float | None, limit: Any = 1) -> bytes:
    found = {"reference": "customers", "key": key, "fields": {"segment": "gold", "limit": limit}}
    if minutes is not None:
        found["time"] = (START + timedelta(minutes=minutes)).isoformat()
    return json.dumps(found).encode()


def test_they_come_by_their_time_before_ticks_and_events_of_that_time(tmp_path: Path) -> None:
    """In their own order: a line never overtakes the one before it."""
    path = tmp_path / "references.jsonl"
    lines = [said(0, None), said(1, -5), said(2, 60), said(3, 10), b"garbage", said(4, 500)]
    path.write_bytes(b"\n".join(lines))
    spec = problem()
    rows = [Row(b"%d" % n, None, None, START + timedelta(minutes=30 * n)) for n in range(4)]
    found = []
    for arrival in arrivals(rows, spec, references=reference_lines(path, spec)):
        name = str(lines.index(arrival.value)) if arrival.stream is REFERENCES else ""
        name = name or (arrival.value.decode() if arrival.stream is EVENTS else "")
        name = name or json.loads(arrival.value)["command"]
        minutes = (arrival.time - START) / timedelta(minutes=1)
        found.append(f"{arrival.stream[0]}{name}@{minutes:g}")
    assert found == [
        "cstart@0", "r0@0", "r1@0", "e0@0", "e1@30", "r2@60", "r3@60", "r4@60", "ctick@60", "e2@60",
        "e3@90", "cend@90",
    ]  # fmt: skip


TABLE = {
    "k": ["1", "2", "1"], "since": ["2024-01-01", "2024-01-02T00:00:00Z", "soon"],
    "segment": ["gold", None, "basic"], "limit": [1.5, 2.0, None], "more": ["x", "y", "z"],
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_is_read_like_a_file_of_events(suffix: str, tmp_path: Path) -> None:
    frame, path = pd.DataFrame(TABLE), tmp_path / f"table{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    spec = problem(customers={"path": path.name, "time": "since"})
    lines = list(reference_lines(None, spec, tmp_path))
    reader = ReferenceReader(spec)
    versions = [reader.version(line.value, None, 0) for line in lines[:2]]
    assert [(v.key, v.values) for v in versions if v] == [
        ("1", ["gold", 1.5, None]), ("2", [None, 2.0, None]),
    ]  # fmt: skip
    assert [line.time and line.time.day for line in lines] == [1, 2, None]
    assert lines[0].key.startswith("customers/1/2024-01-01T00:00:00")
    with pytest.raises(Reject, match="RFC3339"):
        reader.version(lines[2].value, None, 0)


def test_a_table_that_does_not_fit_says_where_the_problem_file_names_it(tmp_path: Path) -> None:
    spec = problem(customers={"path": "t.csv"})
    with pytest.raises(UsageError, match=r"references\.customers\.path"):
        list(reference_lines(None, spec, tmp_path))
    (tmp_path / "t.csv").write_text("k,segment\n1,gold\n")
    with pytest.raises(UsageError, match=r"`limit`.*references\.customers\.fields\.limit"):
        list(reference_lines(None, spec, tmp_path))


def posted(spec: Problem, *bodies: bytes) -> list[tuple[str, str | None, bytes]]:
    found = references_of([Document(body) for body in bodies], spec, START)
    return [(str(arrival.stream), arrival.key, arrival.value) for arrival in found]


def test_over_http_they_are_taken_all_or_none() -> None:
    spec, good = problem(), said(1, 0)
    key = f"customers/1/{START.isoformat()}"
    assert posted(spec, good, said(2, None)) == [
        ("references", key, good), ("references", "customers/2/", said(2, None)),
    ]  # fmt: skip
    with pytest.raises(Reject, match=r"reference 2 of 3 .* limit is -1.*None of this request"):
        posted(spec, good, said(1, 0, limit=-1), good)


def test_of_a_cloud_event_the_data_is_the_reference() -> None:
    headers = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"/crm", "ce_type": b"c"}
    headers["content-type"] = b"application/json"
    (arrival,) = references_of([Document(said(1, 0), headers)], problem(), START)
    assert (arrival.value, arrival.headers) == (said(1, 0), None)


def test_every_record_has_a_key_and_no_version_shares_it() -> None:
    """A compacted topic takes none without, and keeps one record of each."""
    bodies = [said(1, 0), said(1, 1), said(2, 0), b"{", b"[]", b"{}", b"\xff"]
    assert len({reference_key(body) for body in bodies}) == len(bodies)
    assert reference_key(said(1, 0)) == reference_key(said(1, 0, limit=7))
