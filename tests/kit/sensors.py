"""Eight sensors that report in turn: the problem of the tests and benches that load the score path."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

KEYS = 8
_START = datetime(2026, 1, 1, tzinfo=UTC)
SCORE_PATH = "validator,featurizer,scorer"
PROBLEM: dict[str, Any] = {
    "goal": "Say whether the next value of a sensor is larger.",
    "task": "binary",
    "events": {
        "id": "id", "time": "time", "key": "sensor",
        "fields": {"sensor": {"type": "text", "feature": False}, "x": {"type": "number"}},
    },
    "label": {"field": "up", "classes": [0, 1]},
    "features": [{"kind": "lags", "field": "x", "by": [1, 2]}],
}  # fmt: skip


def readings(count: int) -> list[tuple[bytes, bytes]]:
    """Events of eight sensors in turn, and labels that nobody waits for here."""
    found = []
    for n in range(count):
        at = (_START + timedelta(seconds=n)).isoformat().replace("+00:00", "Z")
        event = {"id": f"e{n}", "time": at, "sensor": f"s{n % KEYS}", "x": float(n * 37 % 101)}
        label = {"id": f"e{n}", "label": n % 2}
        found.append((json.dumps(event).encode(), json.dumps(label).encode()))
    return found


def key(n: int) -> bytes:
    """The sensor of reading `n`."""
    return b"s%d" % (n % KEYS)
