"""Figures of laps: how good, how sure, how soon back after a change."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.bench.course import Lap
from shared.bench.streams import Stream
from shared.evaluation.metrics import ClassMetrics, NumberMetrics
from shared.evaluation.paired import inflation
from shared.models.port import F64

LEVEL_ROWS = 2_000
"""Rows before a change whose accuracy is the level to come back to."""
BACK_ROWS = 200
"""Accuracy is back when so many rows in a row have it."""
POINT = 0.01


@dataclass(frozen=True, slots=True)
class Judged:
    """A contestant on a stream, over its seeds.

    `losses` [n]: 0/1, or squared error over the variance of the label (their mean is 1 - R2), averaged
    over the seeds. `recovery`: rows until accuracy is back (mean over the changes), and how many of
    the changes it never came back from (each counts as all the rows up to the next one).
    """

    figures: dict[str, float]
    losses: F64
    error: float
    seed_error: float | None
    recovery: tuple[float, int] | None

    @property
    def value(self) -> float:
        """Accuracy, or R2."""
        return 1.0 - float(self.losses.mean())


def judge(stream: Stream, laps: Sequence[Lap], delay: int) -> Judged:
    """Figures over the laps of one contestant, one a seed; over the rows that all of them did.

    `error`: the standard error of accuracy (R2) on one stream, where errors come in runs: the variance
    of the mean, times what means of blocks of 8 to 512 rows vary more than those of independent rows.
    `seed_error`: the standard error of the mean over the seeds.
    """
    n = min(len(lap.said) for lap in laps)
    losses = [_losses(stream, lap.said[:n]) for lap in laps]
    each = [_figures(stream, lap, n, delay) for lap in laps]
    means = [1.0 - float(loss.mean()) for loss in losses]
    together: F64 = np.mean(losses, axis=0)
    return Judged(
        {name: float(np.mean([one[name] for one in each])) for name in each[0]},
        together,
        standard_error(together),
        float(np.std(means, ddof=1) / np.sqrt(len(means))) if len(means) > 1 else None,
        recovery(together, stream.changes, delay) if not stream.regression else None,
    )


def standard_error(losses: F64) -> float:
    """Of the mean of a series whose values are alike in runs."""
    return float(np.sqrt(np.var(losses) * inflation(losses) / len(losses)))


def ahead(ours: Judged, peer: Judged) -> tuple[float, float]:
    """How much ours is better on the rows that both did, and the standard error of that."""
    n = min(len(ours.losses), len(peer.losses))
    gain = peer.losses[:n] - ours.losses[:n]
    return float(gain.mean()), standard_error(gain)


def recovery(losses: F64, changes: Sequence[int], delay: int) -> tuple[float, int] | None:
    """Rows from a change until accuracy over `BACK_ROWS` rows is within a point of its level before.

    Only rows after the change count, so the least is `BACK_ROWS`. None: no change with enough rows
    before and after it.
    """
    took, never = [], 0
    for place, change in enumerate(changes):
        end = changes[place + 1] if place + 1 < len(changes) else len(losses)
        if change < LEVEL_ROWS or min(end, len(losses)) - change < BACK_ROWS:
            continue
        level = losses[change - LEVEL_ROWS : change].mean()
        sums = np.cumsum(np.insert(losses[change:end], 0, 0.0))
        windows = (sums[BACK_ROWS:] - sums[:-BACK_ROWS]) / BACK_ROWS
        # with late labels the first rows after a change cannot know of it; they may still be lucky
        back = np.flatnonzero(windows <= level + POINT)
        never += not len(back)
        took.append(int(back[0]) + BACK_ROWS if len(back) else len(losses[change:end]))
    return (float(np.mean(took)), never) if took else None


def _losses(stream: Stream, said: F64) -> F64:
    y = stream.y[: len(said)]
    if stream.regression:
        apart: F64 = (said[:, 0] - y) ** 2 / np.var(y)
        return apart
    wrong: F64 = (said.argmax(axis=1) != y).astype(np.float64)
    return wrong


def _figures(stream: Stream, lap: Lap, n: int, delay: int) -> dict[str, float]:
    said, y = lap.said[:n], stream.y[:n].tolist()
    found = _numbers(y, lap, n) if stream.regression else _classes(stream, said, y, delay)
    found |= {
        "cpu_us_per_event": lap.cpu_us,
        "memory_mb": lap.memory_mb,
        "process_mb": lap.process_mb,
    }
    return found if lap.state_mb is None else found | {"state_mb": lap.state_mb}


def _classes(stream: Stream, said: F64, y: list[int], delay: int) -> dict[str, float]:
    k = len(stream.classes)
    total = said.sum(axis=1, keepdims=True)
    known = np.isfinite(total) & (total > 0)
    p = np.where(known, said / np.where(known, total, 1.0), 1.0 / k)
    metrics = ClassMetrics(k)
    for i, label in enumerate(y):
        before = y[i - 1 - delay] if i > delay else -1
        metrics.update(label, int(said[i].argmax()), p[i], before)
    return metrics.figures()


def _numbers(y: list[float], lap: Lap, n: int) -> dict[str, float]:
    metrics = NumberMetrics()
    for i, label in enumerate(y):
        interval = None if lap.intervals is None else lap.intervals[i]
        given = interval is not None and bool(np.isfinite(interval).all())
        metrics.update(label, float(lap.said[i, 0]), interval if given else None)
    return metrics.figures()
