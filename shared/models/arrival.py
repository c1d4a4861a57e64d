"""What an event looks like when it comes, without its label: its place in the stream, and its view.

The view holds each feature scaled up to the event itself (memory 500), then its distance from its
running means over short memories, each over its own running deviation. With labels that come late
it knows more of the present than anything that waits for a label. It is computed once, when the event
is predicted, and travels with the prediction: the learner learns from what was seen then.
"""

import math
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.errors import Reject
from shared.models.gaps import LARGEST, bounded
from shared.models.port import F64, FAST, Arrays, Arrival, State

FRESH = 500.0  # events, of the scale; the memory that every view begins with
SHORT = (8.0, 32.0, 128.0)  # events, of the means a feature's distance is taken from
CUT = 6.0  # deviations
SPREAD = 1.0 / FRESH  # of every deviation, an event


def memories(n_features: int) -> tuple[float, ...]:
    """Memories in events, the scale's first; the more features, the fewer."""
    if n_features <= 16:
        return (FRESH, *SHORT)
    return (FRESH, SHORT[1]) if n_features <= 40 else (FRESH,)


def view_width(n_features: int) -> int:
    """W, the number of columns of a view."""
    return n_features * len(memories(n_features))


@njit(cache=True, fastmath=FAST)
def _view(raw: F64, steps: F64, seen: F64, mean: F64, var: F64, view: F64) -> None:
    """Fill `view`, moving the means and deviations [memories, d] along."""
    d = raw.shape[1]
    for i in range(raw.shape[0]):
        for j in range(d):
            value = raw[i, j]
            if not math.isfinite(value):
                view[i, j::d] = 0.0
                continue
            value = min(LARGEST, max(-LARGEST, value))
            if seen[j] == 0.0:
                mean[:, j] = value
            first, spread = 1.0 / (seen[j] + 1.0), max(SPREAD, 1.0 / (seen[j] + 1.0))
            for h in range(steps.shape[0]):
                off = bounded(value - mean[h, j], var[h, j], seen[j])
                var[h, j] += spread * (off * off - var[h, j])
                floor = 1e-12 * mean[h, j] * mean[h, j] + 1e-30  # a constant's rounding
                mean[h, j] += max(steps[h], first) * off
                view[i, h * d + j] = min(CUT, max(-CUT, off / math.sqrt(var[h, j] + floor)))
            seen[j] += 1.0


class Arrivals:
    """The state that moves with every event that comes. Memory: 2 W + d + 1 numbers."""

    def __init__(self, n_features: int) -> None:
        self.count = 0
        self.seen = np.zeros(n_features)
        self.steps = 1.0 / np.array(memories(n_features))
        self.mean = np.zeros((len(self.steps), n_features))
        self.var = np.zeros((len(self.steps), n_features))

    def take(self, raw: F64) -> Arrival:
        """The next events, raw [n, d]; what is not finite stands at its mean."""
        view = np.empty((len(raw), self.mean.size))
        _view(raw, self.steps, self.seen, self.mean, self.var, view)
        place = np.arange(self.count, self.count + len(raw))
        self.count += len(raw)
        return Arrival(place, view.astype(np.float16).astype(np.float32))

    def snapshot(self) -> State:
        """Copies of the state."""
        moments = {name: getattr(self, name).copy() for name in ("seen", "mean", "var")}
        return {"count": np.array([self.count]), **moments}

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        self.count = int(arrays["count"][0])
        self.seen, self.mean, self.var = (
            np.array(arrays[name], np.float64) for name in ("seen", "mean", "var")
        )


def _layout(width: int) -> npt.DTypeLike:
    return [("place", "<i8"), ("view", "<f2", (width,))]


def pack_arrival(arrival: Arrival) -> list[str]:
    """A text for each event (base64 of the place in 8 bytes and the view in float16)."""
    rows = np.empty(len(arrival.place), _layout(arrival.view.shape[1]))
    rows["place"], rows["view"] = arrival
    return [b2a_base64(row.tobytes(), newline=False).decode("ascii") for row in rows]


def unpack_arrival(texts: Sequence[str], width: int) -> Arrival:
    """The texts of `pack_arrival` back, of views of `width` columns.

    Raises:
        Reject: a text is not what a scorer wrote.
    """
    layout = np.dtype(_layout(width))
    try:
        pieces = [a2b_base64(text) for text in texts]
    except ValueError as error:
        raise Reject(
            f"`arrival` is not what a scorer wrote: {error}", "said", "arrival"
        ) from error
    if any(len(piece) != layout.itemsize for piece in pieces):
        raise Reject(f"`arrival` does not hold {width} numbers and a place", "said", "arrival")
    rows = np.frombuffer(b"".join(pieces), layout)
    return Arrival(rows["place"].astype(np.int64), rows["view"].astype(np.float32))
