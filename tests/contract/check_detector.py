"""The contract of a detector, for every entry of `shared.drift.table.DETECTORS`."""

from collections.abc import Callable

import numpy as np

from shared.drift.port import F64, Detector

Make = Callable[[int], Detector]


def trace(detector: Detector, rows: F64) -> F64:
    """[n, p] the evidence after each row."""
    out = np.empty_like(rows)
    for i, row in enumerate(rows):
        mean = detector.update(row)
        out[i] = detector.evidence
        assert mean == out[i].mean()
    return out


def size_bytes(detector: Detector) -> int:
    return sum(array.nbytes for array in detector.snapshot().values())


def check_detector(make: Make, ordinary: F64, changed: F64) -> None:
    """`ordinary` [n, p] rows of one world, then `changed` of another. Raises AssertionError."""
    rows = np.concatenate([ordinary, changed])
    p = rows.shape[1]
    expected = trace(make(p), rows)
    assert np.isfinite(expected).all()
    assert (expected >= 0).all()
    check_repeats(make, rows, expected)
    check_every_cut(make, rows, expected)
    check_missing(make, rows)
    check_reset(make, rows)
    check_bounded(make, rows)
    before = expected[len(ordinary) - 1].mean()
    assert expected[len(ordinary) :].mean(1).max() > 1e3 * before, "the change was not seen"


def check_repeats(make: Make, rows: F64, expected: F64) -> None:
    """The same input twice gives the same bytes."""
    assert trace(make(rows.shape[1]), rows).tobytes() == expected.tobytes()


def check_every_cut(make: Make, rows: F64, expected: F64) -> None:
    """Snapshot and restore into a fresh one, at cuts all over the stream, changes nothing."""
    detector = make(rows.shape[1])
    for i, row in enumerate(rows):
        if i % 61 == 0 or i < 3:
            arrays = detector.snapshot()
            detector = make(rows.shape[1])
            detector.restore(arrays)
        detector.update(row)
        assert detector.evidence.tobytes() == expected[i].tobytes(), f"row {i}"
    arrays = detector.snapshot()
    detector.update(rows[0])
    again = make(rows.shape[1])
    again.restore(arrays)
    assert again.evidence.tobytes() == expected[-1].tobytes(), "a snapshot must be a copy"


def check_missing(make: Make, rows: F64) -> None:
    """A series with holes is the series without its rows there; others do not notice."""
    p = rows.shape[1]
    holes = rows.copy()
    holes[::3, 0] = np.nan
    gappy = trace(make(p), holes)
    assert gappy[:, 1:].tobytes() == trace(make(p), rows)[:, 1:].tobytes()
    dense = rows[np.arange(len(rows)) % 3 != 0]
    kept = trace(make(p), dense)[:, 0]
    assert gappy[np.arange(len(rows)) % 3 != 0, 0].tobytes() == kept.tobytes()
    empty = make(p)
    assert (trace(empty, np.full((50, p), np.nan)) == 0).all()


def check_reset(make: Make, rows: F64) -> None:
    """A reset series begins anew without evidence; the others go on, in and after their reference."""
    p = rows.shape[1]
    marked = np.arange(p) == 1
    for at in (300, len(rows) - 20):
        detector, other = make(p), make(p)
        trace(detector, rows[:at])
        trace(other, rows[:at])
        detector.reset(marked)
        assert detector.evidence[1] == 0
        a, b = trace(detector, rows[at:]), trace(other, rows[at:])
        assert (a[:20, 1] == 0).all()
        assert a[:, ~marked].tobytes() == b[:, ~marked].tobytes()


def check_bounded(make: Make, rows: F64) -> None:
    """The state does not grow with the stream, nor the evidence past what a float holds."""
    detector = make(rows.shape[1])
    at_start = size_bytes(detector)
    trace(detector, rows)
    wild = np.where(np.isfinite(rows), 1e308, 0.0)
    wild[::7] = np.inf
    assert np.isfinite(trace(detector, wild)).all()
    assert size_bytes(detector) == at_start
