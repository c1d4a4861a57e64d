"""Rejected events are replayed after a mend: dry run first, each once, by the real command."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.log.sqlite_reader import SqliteReader
from shared.messages.codec import decode
from shared.messages.streams import EVENTS, PREDICTIONS, REJECTED
from tests.kit.runs import headrace, run_json

pytestmark = pytest.mark.slow
PROBLEM: dict[str, Any] = {
    "name": "toy", "goal": "Tell large from small.", "task": "binary",
    "events": {
        "id": "id", "time": "at", "key": "who",
        "fields": {
            "who": {"type": "text"},
            "x": {"type": "number", "range": [0, 1]},
        },
    },
    "label": {"field": "large", "classes": [0, 1], "delay": "1m"},
    "features": [{"kind": "lags", "field": "x", "by": [1]}],
}  # fmt: skip


def written(folder: Path, name: str, low: float, high: float, **label: Any) -> Path:
    problem = json.loads(json.dumps(PROBLEM))
    problem["events"]["fields"]["x"]["range"] = [low, high]
    problem["label"] |= label
    path = folder / name
    path.write_text(yaml.safe_dump(problem))
    return path


def events(folder: Path) -> Path:
    """60 events; at 10 and 20 a number in per cent, at 30 garbage, at 40 an id once more."""
    rows: list[Any] = []
    for n in range(60):
        x = (n * 37 % 100) / 100
        at = f"2024-01-01T00:{n:02}:00Z"
        row = {"id": f"e{n}", "at": at, "who": "ann", "x": x, "large": int(x > 0.5)}
        row["x"] = x * 100 if n in (10, 20) else x
        rows.append(
            json.dumps(row | ({"id": "e39"} if n == 40 else {})) if n != 30 else "{garbage"
        )
    path = folder / "events.jsonl"
    path.write_text("\n".join(rows) + "\n")
    return path


def said(problem: Path, data: Path, *more: str) -> dict[str, Any]:
    done = headrace(
        "rejected", "replay", "--problem", problem, "--data-dir", data, "--json", *more
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def ends(data: Path) -> tuple[int, int, int]:
    reader = SqliteReader(data / "log.db")
    found = reader.end(EVENTS), reader.end(PREDICTIONS), reader.end(REJECTED)
    reader.close()
    return found


def test_replay_after_a_mend(tmp_path: Path) -> None:
    strict, data = written(tmp_path, "problem.yaml", 0, 1), tmp_path / "toy"
    source = events(tmp_path)
    first = run_json(strict, data, "--events", source)
    assert first["predictions"] == 56
    mended, before = written(tmp_path, "mended.yaml", 0, 100), ends(data)
    dry = said(mended, data)
    assert (dry["would_pass"], ends(data)) == (2, before), "a dry run changes nothing"
    labels = {"no event": first["rejected"] - 4}
    assert dry["others"] == {"rejected: json": 1, "duplicate": 1} | labels
    number = next(row["number"] for row in dry["records"] if row["verdict"] == "passes")
    one = said(mended, data, str(number), "--yes")
    assert one["replayed"] == 1
    rest = said(mended, data, "--check", "range", "--yes")
    assert (rest["replayed"], rest["others"]) == (1, {"replayed before": 1})
    again = said(mended, data, "--yes")
    assert again["replayed"] == 0 and again["others"]["replayed before"] == 2
    assert ends(data) == (before[0] + 2, *before[1:]), "a second replay is a no-op"

    second = run_json(mended, data, "--events", source)
    assert (second["predictions"], second["rejected"]) == (58, first["rejected"])
    reader = SqliteReader(data / "log.db")
    newest = [decode(PREDICTIONS, r.value) for r in reader.read([PREDICTIONS], {}, 100)][-2:]
    reader.close()
    assert sorted(p.id for p in newest) == ["e10", "e20"]
    assert {str(p.time)[11:16] for p in newest} == {"00:10", "00:20"}, "event time is theirs"


def test_a_problem_that_means_something_else_may_not_go_on(tmp_path: Path) -> None:
    strict, data = written(tmp_path, "problem.yaml", 0, 1), tmp_path / "toy"
    source = events(tmp_path)
    run_json(strict, data, "--events", source)
    other = written(tmp_path, "other.yaml", 0, 1, delay="2m")
    done = headrace("run", other, "--data-dir", data, "--events", source, "--json")
    assert done.returncode == 2 and "another version of this problem file" in done.stderr
