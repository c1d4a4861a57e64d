"""False alarms and delays of the e-detectors beside River's ADWIN on iid series; JSON lines.

    .venv/bin/python -m tests.bench.drift_delays

Budget: one false alarm in 100,000 events over all p series together; the change is in one series. ADWIN
watches that series alone. Delays are means over `RUNS` series, `missed` within 3,000 events.
"""

import json
import platform
from collections.abc import Callable, Iterator
from time import process_time

import numpy as np
import river
from river.drift import ADWIN

from shared.drift import Ranks, Rates

RUNS, BEFORE, AFTER, BUDGET = 60, 6_000, 3_000, 100_000.0
Change = Callable[[np.ndarray, np.ndarray], np.ndarray]
NUMBERS: dict[str, Change] = {
    "mean +.25 sd": lambda z, on: z + 0.25 * on,
    "mean +.5 sd": lambda z, on: z + 0.5 * on,
    "mean +1 sd": lambda z, on: z + on,
    "sd x1.41": lambda z, on: z * np.where(on, 2**0.5, 1.0),
    "sd x2": lambda z, on: z * np.where(on, 2.0, 1.0),
}
ERRORS = {".20 to .30": (0.2, 0.3), ".10 to .20": (0.1, 0.2), ".10 to .40": (0.1, 0.4)}


def delays(evidence: np.ndarray, threshold: float) -> dict[str, float | None]:
    """[n, runs] evidence with a change at `BEFORE`; alarms before it are false (and end the run)."""
    hit = evidence >= threshold
    false = hit[:BEFORE].any(0)
    late = hit[BEFORE:].argmax(0)[hit[BEFORE:].any(0) & ~false]
    fair = max(int((~false).sum()), 1)
    return {
        "delay": round(float(late.mean()), 1) if len(late) else None,
        "missed": round(1 - len(late) / fair, 3),
        "false_before": int(false.sum()),
    }


def traced(detector: Ranks | Rates, x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    for i, row in enumerate(x):
        detector.update(row)
        out[i] = detector.evidence
    return out


def adwin(x: np.ndarray, delta: float) -> np.ndarray:
    out = np.zeros_like(x)
    for j in range(x.shape[1]):
        detector = ADWIN(delta=delta)
        for i, value in enumerate(x[:, j].tolist()):
            detector.update(value)
            out[i, j] = BUDGET * 1000 if detector.drift_detected else 0.0
    return out


def rows() -> Iterator[dict[str, object]]:
    r = np.random.default_rng(1)
    on = (np.arange(BEFORE + AFTER) >= BEFORE)[:, None] * 1.0
    suites = {name: change(r.normal(size=(len(on), RUNS)), on) for name, change in NUMBERS.items()}
    for name, (low, high) in ERRORS.items():
        u = r.random((len(on), RUNS))
        suites[f"error {name}"] = (u < np.where(on > 0, high, low)) * 1.0
    for name, x in suites.items():
        ours = traced(Rates(RUNS) if name.startswith("error") else Ranks(RUNS, 2_000), x)
        for p in (1, 10, 100):
            yield {"suite": name, "detector": "ours", "p": p, **delays(ours, p * BUDGET)}
        for delta in (0.002, 1e-5):
            yield {"suite": name, "detector": f"ADWIN({delta})", **delays(adwin(x, delta), 1.0)}
    for p in (1, 15, 100):
        for name, detector in (("ranks", Ranks(p, 500)), ("rates", Rates(p))):
            x = r.normal(size=(3_000, p))
            traced(detector, x[:600])
            start = process_time()
            for row in x[600:]:
                detector.update(row)
            us = (process_time() - start) / 2_400 * 1e6
            yield {"suite": "cost", "detector": name, "p": p, "us_per_event": round(us, 2)}


if __name__ == "__main__":
    print(
        json.dumps({"river": river.__version__, "numpy": np.__version__, "on": platform.machine()})
    )
    for row in rows():
        print(json.dumps(row))
