import json
from datetime import datetime
from pathlib import Path

import pytest

from services.collector.replay import Arrival
from services.collector.shell import Replay, parse_speed
from shared.errors import UsageError
from tests.unit.collector.rows import problem_of

PROBLEM = problem_of(
    source={"path": "x.jsonl", "tick": 0},
    events={"id": "id", "time": "at", "key": "who", "fields": {"who": {"type": "text"}}},
)


class Clock:
    """A clock that sleeping moves, and nothing else."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


@pytest.fixture
def file(tmp_path: Path) -> Path:
    lines = [
        {"id": f"e{n}", "at": f"2024-01-01T00:{n:02}:00Z", "who": "a", "y": n % 2}
        for n in range(60)
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def drained(replay: Replay, limit: int) -> list[Arrival]:
    found: list[Arrival] = []
    while (batch := replay.next(limit)) is not None:
        assert len(batch) <= limit
        found += batch
    return found


@pytest.mark.parametrize("limit", [1, 7, 1_000])
@pytest.mark.parametrize("speed", ["max", "60x", "3600x"])
def test_the_same_arrivals_at_any_speed_and_batch_size(file: Path, limit: int, speed: str) -> None:
    clock = Clock()
    replay = Replay(file, None, PROBLEM, parse_speed(speed), clock, clock.sleep)
    found = drained(replay, limit)
    assert found == drained(Replay(file, None, PROBLEM), 10)
    assert len(found) == 60 + 60 + 2
    assert replay.next(limit) is None


def test_event_time_over_wall_time_is_the_speed(file: Path) -> None:
    clock = Clock()
    replay = Replay(file, None, PROBLEM, parse_speed("60x"), clock, clock.sleep)
    seen: list[tuple[float, datetime]] = []
    while (batch := replay.next(5)) is not None:
        seen += [(clock.now_s, arrival.time) for arrival in batch]
    for wall_s, event_time in seen:
        due = 1_000.0 + (event_time - seen[0][1]).total_seconds() / 60
        assert due <= wall_s + 1e-6
        assert wall_s <= due + 0.06
    assert clock.now_s == pytest.approx(1_059.0, abs=0.1)
    assert max(clock.slept_s) <= 0.05


@pytest.mark.parametrize("skipped", [0, 1, 50, 122])
@pytest.mark.parametrize("speed", ["max", "60x"])
def test_going_on_after_a_stop(file: Path, skipped: int, speed: str) -> None:
    clock = Clock()
    replay = Replay(file, None, PROBLEM, parse_speed(speed), clock, clock.sleep)
    replay.skip(skipped)
    assert drained(replay, 9) == drained(Replay(file, None, PROBLEM), 99)[skipped:]


def test_a_shorter_file_is_not_the_one_that_was_replayed(file: Path) -> None:
    with pytest.raises(UsageError, match="not the same file"):
        Replay(file, None, PROBLEM).skip(123)


def test_a_file_of_labels_beside(file: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"id":"e3","label":1,"time":"2024-01-01T00:10:30Z"}\nno label\n')
    found = drained(Replay(file, labels, PROBLEM), 50)
    values = [arrival.value for arrival in found]
    place = values.index(labels.read_bytes().splitlines()[0])
    assert json.loads(values[place + 1])["id"] == "e11"
    assert values[-2] == b"no label"


def test_speeds() -> None:
    assert parse_speed("max") is None
    assert parse_speed("60x") == 60.0
    assert parse_speed("0.5") == 0.5
    for text in ("", "fast", "0x", "-1x", "nan", "inf"):
        with pytest.raises(UsageError, match="write max"):
            parse_speed(text)
