"""A problem, and files of its events."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from services.collector.sources.row import Row
from services.collector.sources.table import rows_of
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
