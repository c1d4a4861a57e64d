"""Bad input, whole system: each bad record ends in `rejected` with its reason, the rest as if it had
never come: the digest of the predictions is that of the run without it.
"""

import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from shared.log.sqlite_reader import SqliteReader
from shared.messages.codec import decode
from shared.messages.streams import LABELS, OUTCOMES, PREDICTIONS, REJECTED, Stream
from shared.rejecting import RAW_LIMIT_BYTES
from tests.kit.runs import run_json, start

pytestmark = pytest.mark.slow

COUNT = 400
START = datetime(2024, 1, 1, tzinfo=UTC)
PROBLEM: dict[str, Any] = {
    "name": "toy",
    "goal": "Tell large from small.",
    "task": "binary",
    "events": {
        "id": "id",
        "time": "at",
        "key": "who",
        "fields": {
            "who": {"type": "category", "categories": ["ann", "bob"], "feature": False},
            "x": {"type": "number", "range": [0, 1]},
            "n": {"type": "integer"},
            "colour": {"type": "category", "categories": ["red", "green"]},
        },
    },
    "label": {"field": "large", "classes": [0, 1], "delay": "1s", "early": 3},
    "features": [{"kind": "lags", "field": "x", "by": [1]}],
}


def time_of(n: int) -> str:
    return (START + timedelta(minutes=n)).isoformat().replace("+00:00", "Z")


def event(n: int, /, **changes: Any) -> dict[str, Any]:
    x = (n * 37 % 100) / 100
    fields = {"id": f"e{n}", "at": time_of(n), "who": "ann" if n % 2 else "bob", "x": x, "n": n}
    return fields | {"colour": "red" if n % 3 else "green"} | changes


def text(n: int, /, **changes: Any) -> str:
    """An event like the n-th good one, of another id unless `changes` says otherwise."""
    return json.dumps(event(n) | {"id": f"bad{n}"} | changes)


class Bad(NamedTuple):
    """Made from the number of the good event before it; then what `rejected` must say of it."""

    make: Callable[[int], str | bytes]
    check: str
    field: str | None
    reason: str


BAD = {
    "garbage bytes": Bad(lambda n: b"\xff\xfe\x00\x9f garbage", "json", None, "not JSON"),
    "garbage text": Bad(lambda n: "no JSON at all", "json", None, "not JSON"),
    "no object": Bad(lambda n: "[1, 2, 3]", "json", None, "a JSON object is expected"),
    "truncated": Bad(lambda n: text(n)[:40], "json", None, "breaks off"),
    "deeply nested": Bad(
        lambda n: text(n)[:-1] + ', "deep": ' + "[" * 50_000 + "]" * 50_000 + "}",
        "depth", None, "nested more than",
    ),
    "missing field": Bad(
        lambda n: json.dumps({k: v for k, v in event(n, id="m").items() if k != "x"}),
        "missing", "x", "x is missing",
    ),
    "wrong type": Bad(lambda n: text(n, x="high"), "type", "x", 'x is "high"; a number is'),
    "no whole number": Bad(lambda n: text(n, n=1.5), "type", "n", "n is 1.5; a whole number"),
    "NaN": Bad(lambda n: text(n, x=float("nan")), "json", None, "NaN is not JSON"),
    "Infinity": Bad(lambda n: text(n, x=float("inf")), "json", None, "Infinity is not JSON"),
    "a number beyond all": Bad(
        lambda n: text(n, x="?").replace('"?"', "1e400"), "number", None, "too large"
    ),
    "a number of 5,000 digits": Bad(
        lambda n: text(n, x="?").replace('"?"', "9" * 5_000), "number", None, "too large"
    ),
    "duplicate keys": Bad(
        lambda n: text(n)[:-1] + ', "x": 0.5}', "duplicate_key", "x", 'key "x" stands twice'
    ),
    "duplicate id": Bad(lambda n: text(n, id=f"e{n}"), "duplicate", "id", "was there before"),
    "1 MB value": Bad(lambda n: text(n, note="x" * 1_000_000), "size", None, "events.max_bytes"),
    "wrong category": Bad(
        lambda n: text(n, colour="purple"), "category", "colour", '"purple"; the problem file allows'
    ),
    "out of range": Bad(
        lambda n: text(n, x=1.7), "range", "x", "x is 1.7; the problem file allows 0 to 1"
    ),
    "time going backwards": Bad(
        lambda n: text(n, at=time_of(n - 20)), "backwards", "at", "events.allow_backwards"
    ),
    "no time": Bad(lambda n: text(n, at="yesterday"), "time", "at", 'at is "yesterday"'),
    "half a character": Bad(
        lambda n: text(n, who="?").replace("?", "\\ud800"), "json", None, "not JSON"
    ),
}  # fmt: skip


def write_problem(folder: Path, **label: Any) -> Path:
    path = folder / "problem.yaml"
    path.write_text(yaml.safe_dump(PROBLEM | {"label": PROBLEM["label"] | label}))
    return path


def good_line(n: int) -> bytes:
    return json.dumps(event(n, large=int(event(n)["x"] > 0.5))).encode()


def bad_line(name: str, n: int) -> bytes:
    made = BAD[name].make(n)
    return made if isinstance(made, bytes) else made.encode()


def records(data_dir: Path, stream: Stream) -> list[Any]:
    with closing(SqliteReader(data_dir / "log.db")) as reader:
        return [decode(stream, record.value) for record in reader.read([stream], {}, 100_000)]


def bad_places() -> dict[str, int]:
    """Each kind of bad event comes after this good one; two of a key apart, far from the start."""
    return {name: 50 + 11 * place for place, name in enumerate(BAD)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad")


@pytest.fixture(scope="module")
def clean(folder: Path) -> dict[str, Any]:
    events = folder / "clean.jsonl"
    events.write_bytes(b"\n".join(good_line(n) for n in range(COUNT)))
    result = run_json(write_problem(folder), folder / "clean", "--events", events)
    assert (result["predictions"], result["outcomes"], result["rejected"]) == (COUNT, COUNT, 0)
    return result


@pytest.fixture(scope="module")
def dirty(folder: Path, clean: dict[str, Any]) -> dict[str, Any]:
    after = {n: bad_line(name, n) for name, n in bad_places().items()}
    lines: list[bytes] = []
    for n in range(COUNT):
        lines += [good_line(n), after[n]] if n in after else [good_line(n)]
    events = folder / "dirty.jsonl"
    events.write_bytes(b"\n".join(lines))
    return run_json(write_problem(folder), folder / "dirty", "--events", events)


def test_bad_events_disturb_nothing(clean: dict[str, Any], dirty: dict[str, Any]) -> None:
    assert dirty["digest"] == clean["digest"]
    assert dirty["rejected"] == len(BAD)
    assert (dirty["predictions"], dirty["outcomes"]) == (COUNT, COUNT)
    assert dirty["events"] == COUNT + len(BAD)


@pytest.mark.usefixtures("dirty")
@pytest.mark.parametrize("name", BAD)
def test_each_bad_event_is_in_rejected_with_its_reason_and_bytes(folder: Path, name: str) -> None:
    raw = bad_line(name, bad_places()[name])
    cut = raw[:RAW_LIMIT_BYTES]
    found = [row for row in records(folder / "dirty", REJECTED) if b64decode(row.raw) == cut]
    assert len(found) == 1
    (row,) = found
    expected = BAD[name]
    assert (row.check, row.field) == (expected.check, expected.field)
    assert expected.reason in row.reason
    assert row.topic == "toy.events"
    if len(raw) > RAW_LIMIT_BYTES:
        assert row.raw_size_bytes == len(raw)
        assert row.raw_sha256 == sha256(raw).hexdigest()


# --- labels --------------------------------------------------------------------------------------


def label(n: int, seconds: float = 1.0, /, **changes: Any) -> bytes:
    """The label of the n-th event, `seconds` after it."""
    at = START + timedelta(minutes=n, seconds=seconds)
    fields = {"id": f"e{n}", "label": int(event(n)["x"] > 0.5), "time": at.isoformat()}
    return json.dumps(fields | changes).encode()


def run_labels(folder: Path, name: str, labels: list[bytes]) -> dict[str, Any]:
    events, file = folder / "unlabelled.jsonl", folder / f"{name}.jsonl"
    events.write_text("\n".join(json.dumps(event(n)) for n in range(COUNT)))
    file.write_bytes(b"\n".join(labels))
    problem = write_problem(folder)
    return run_json(problem, folder / name, "--events", events, "--labels", file)


LABELS_GOOD = [label(n) for n in range(COUNT)]
LABELS_BAD = {
    "twice": (label(100, 2), "label_twice"),
    "twice, another value": (
        label(110, 2, label=1 - json.loads(label(110))["label"]),
        "label_rev",
    ),
    "no class": (label(119, 90, label=7, id="e120"), "label_class"),
    "garbage": (b"\xff garbage", "decode"),
    "truncated": (label(130)[:-5], "decode"),
    "without id": (b'{"label": 1, "time": "2024-01-01T03:00:00Z"}', "decode"),
}
UNKNOWN = [label(n, 30, id=f"nobody{n}") for n in range(200, 205)]


def test_labels_that_cannot_be_used_disturb_nothing(folder: Path, clean: dict[str, Any]) -> None:
    bad = [raw for raw, _ in LABELS_BAD.values()] + UNKNOWN
    timed = [raw for raw in LABELS_GOOD + bad if b'"time"' in raw and raw.endswith(b"}")]
    timed.sort(key=lambda raw: datetime.fromisoformat(json.loads(raw)["time"]))
    rest = [raw for raw in bad if raw not in timed]
    result = run_labels(folder, "bad-labels", timed + rest)
    rejected = records(folder / "bad-labels", REJECTED)
    checks = {b64decode(row.raw): row for row in rejected}
    for name, (raw, check) in LABELS_BAD.items():
        assert checks[raw].check.startswith(check), name
        assert checks[raw].topic == "toy.labels"
        assert checks[raw].reason
    # at most three wait for their events (`label.early`), and what waits at the end is given up
    assert {checks[raw].check for raw in UNKNOWN} == {"label_unknown_id"}
    assert len(rejected) == result["rejected"] == len(LABELS_BAD) + len(UNKNOWN)
    assert result["outcomes"] == COUNT
    assert result["digest"] == clean["digest"]


def test_a_label_before_its_event_waits_for_it(folder: Path, clean: dict[str, Any]) -> None:
    early = set(range(50, 400, 25))
    labels = [label(n, -30 if n in early else 1) for n in range(COUNT)]
    result = run_labels(folder, "early", labels)
    assert (result["outcomes"], result["rejected"]) == (COUNT, 0)
    assert result["digest"] == clean["digest"]
    labelled = {row.id: row.labelled_at for row in records(folder / "early", OUTCOMES)}
    predicted = {row.id: row.time for row in records(folder / "early", PREDICTIONS)}
    assert {n for n in range(COUNT) if labelled[f"e{n}"] < predicted[f"e{n}"]} == early
    assert len(records(folder / "early", LABELS)) == COUNT


# --- over HTTP -----------------------------------------------------------------------------------


@pytest.fixture
def live(folder: Path) -> Iterator[httpx.Client]:
    """A run without a file: events come over HTTP."""
    data_dir = folder / "live"
    child = start("run", write_problem(folder), "--data-dir", data_dir, "--port", "0")
    try:
        wait_until(lambda: (data_dir / "url").exists() or child.poll() is not None)
        assert child.poll() is None, child.communicate()[1]
        with httpx.Client(base_url=(data_dir / "url").read_text(), timeout=30) as client:
            wait_until(lambda: answers(client))
            yield client
    finally:
        child.terminate()
        child.communicate(timeout=60)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert true()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def test_what_is_accepted_over_http_is_on_the_log(folder: Path, live: httpx.Client) -> None:
    for n, name in enumerate(BAD, start=30):
        body = json.dumps(event(n)).encode() + b"\n" + bad_line(name, n)
        answer = live.post("/events", content=body)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 2}), name
        assert live.post("/labels", content=label(n)).status_code == 202
    assert live.post("/labels", content=b"garbage").status_code == 400
    data_dir = folder / "live"
    wait_until(lambda: len(records(data_dir, OUTCOMES)) == len(BAD))
    assert len(records(data_dir, PREDICTIONS)) == len(BAD)
    raws = [b64decode(row.raw) for row in records(data_dir, REJECTED)]
    assert raws == [bad_line(name, n)[:RAW_LIMIT_BYTES] for n, name in enumerate(BAD, start=30)]
