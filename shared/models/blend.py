"""Mixing regressors: least squares over what the experts say, beside a hedge that needs no learning.

The hedge weighs experts by their recent squared error. Two least-squares members (forgetting .9995
and .995) correct it by the experts' differences from it. The three are averaged by their recent
squared error on what they SAID.

The answer's interval is the answer +- `width` times how far off it was expected to be, the `scale`:
the best expert's recent error and the experts' disagreement on this very event. When the label comes,
`width` moves by .9 steps up if width times scale misses it, by .1 down if not (adaptive conformal
inference, Gibbs & Candes 2021, on the quantile itself: Angelopoulos, Candes & Tibshirani 2023; steps
that fall to a floor: Angelopoulos, Barber & Bates 2024). With labels at once, on ANY stream, the share
of misses over n labels is within log(WIDEST / NARROWEST) / (.02 n) of 10 % while the width stays
between those two. With late labels that holds for the width when the label comes, not for the published
one: moved by what was published it would overshoot by as many steps as labels are late.
"""

import math

import numpy as np
from numba import njit

from shared.models.port import COVERAGE, F32, F64, FAST, I64
from shared.models.rls import dot, rls_step

FORGET = np.array([0.9995, 0.995])
N_MEMBERS = 3  # two least squares, the hedge
ANSWER, SCALE = 3, 4  # the rows of `members` that hold the answer itself, and its expected error
N_ROWS = 5
E_MEMORY, R_MEMORY = 100.0, 300.0  # labels: experts' and members' squared errors
E_SHARP, R_SHARP = 4.0, 20.0
CUT = 5.0  # errors of the best expert that a difference may be
MISS = 1.0 - COVERAGE  # share of targets outside the interval
LARGEST_SQUARE = 1e300  # a target may be any finite number, its square not
N_DONE, WIDTH = 0, 1  # places in `track`
FIRST_WIDTH = 1.645  # of a normal distribution's deviations
NARROWEST, WIDEST = 1e-3, 1e6
LEAST_STEP = 0.02
PRECISION = 1e-6  # of what was said, in single precision: nobody is surer than that
CALIBRATED = 30  # labels before an interval is given


@njit(cache=True, fastmath=FAST, forceinline=True)
def shares(error: F64, sharp: float, out: F64) -> None:
    """Weights that fall with the squared error relative to the least one; their sum is 1."""
    least = error.min() + 1e-300
    total = 0.0
    for e in range(error.shape[0]):
        out[e] = math.exp(-sharp * min(100.0, error[e] / least - 1.0))
        total += out[e]
    for e in range(error.shape[0]):
        out[e] /= total


@njit(cache=True, fastmath=FAST, forceinline=True)
def squared(off: float) -> float:
    """`off` squared, and always finite."""
    return min(LARGEST_SQUARE, off * off)


@njit(cache=True, fastmath=FAST, forceinline=True)
def hedge(said: F32, columns: I64, share: F64, unit: float, f: F64) -> float:
    """The weighted mean of what was said; `f`: the experts' differences from it, in `unit`s, cut."""
    base = 0.0
    for e in range(columns.shape[0]):
        base += share[e] * said[columns[e], 0]
    for e in range(columns.shape[0]):
        f[e] = min(CUT, max(-CUT, (said[columns[e], 0] - base) / unit))
    return base


@njit(cache=True, fastmath=FAST, forceinline=True)
def _unit(error: F64) -> float:
    return math.sqrt(error.min()) + 1e-150


@njit(cache=True, fastmath=FAST, forceinline=True)
def expected_error(said: F32, columns: I64, share: F64, base: float, unit: float) -> float:
    """The best expert's recent error and the experts' spread around `base`, as one deviation."""
    spread = 0.0
    for e in range(columns.shape[0]):
        off = said[columns[e], 0] - base
        spread += share[e] * off * off
    return math.sqrt(unit * unit + spread) + PRECISION * abs(base)


@njit(cache=True, fastmath=FAST, forceinline=True)
def predict_block(
    said: F32, columns: I64, w: F64, error: F64, missed: F64, members: F32, mean: F64
) -> None:
    """Fill `members` [n, 5, 1] and the answer `mean` [n, 1]."""
    n_experts = columns.shape[0]
    f, share, mix = np.empty(n_experts), np.empty(n_experts), np.empty(N_MEMBERS)
    shares(error, E_SHARP, share)
    shares(missed, R_SHARP, mix)
    unit = _unit(error)
    for i in range(said.shape[0]):
        base = hedge(said[i], columns, share, unit, f)
        answer = mix[N_MEMBERS - 1] * base
        for r in range(FORGET.shape[0]):
            one = base + dot(w[r], f) * unit
            members[i, r, 0] = one
            answer += mix[r] * one
        members[i, N_MEMBERS - 1, 0] = base
        members[i, ANSWER, 0] = answer
        members[i, SCALE, 0] = expected_error(said[i], columns, share, base, unit)
        mean[i, 0] = answer


@njit(cache=True, fastmath=FAST, forceinline=True)
def _track(track: F64, miss: float, scale: float) -> None:
    """Move the width: up a lot on a miss, down a little on a hit, in proportion to itself."""
    track[N_DONE] += 1.0
    if scale <= 0.0:  # nothing was known then, or nobody ever errs
        return
    missed = miss > track[WIDTH] * scale
    step = max(LEAST_STEP, 1.0 / math.sqrt(track[N_DONE]))
    width = track[WIDTH] * math.exp(step * ((1.0 if missed else 0.0) - MISS))
    track[WIDTH] = min(WIDEST, max(NARROWEST, width))


@njit(cache=True, fastmath=FAST, forceinline=True)
def _judge(missed: F64, track: F64, members: F32, y: float) -> None:
    for r in range(N_MEMBERS):
        off = members[r, 0] - y
        missed[r] += (squared(off) - missed[r]) / min(R_MEMORY, track[N_DONE] + 1.0)
    _track(track, abs(members[ANSWER, 0] - y), members[SCALE, 0])


@njit(cache=True, fastmath=FAST, forceinline=True)
def learn_block(
    said: F32, columns: I64, members: F32, y: F64, w: F64, inverse: F64, error: F64, missed: F64,
    track: F64, seen: F64,
) -> None:  # fmt: skip
    """Learn events in order; `members` without rows: there were none at prediction time."""
    n_experts = columns.shape[0]
    f, share = np.empty(n_experts), np.empty(n_experts)
    for i in range(said.shape[0]):
        if members.shape[0] > 0:
            _judge(missed, track, members[i], y[i])
        if seen[0] > 0.0:
            shares(error, E_SHARP, share)
            unit = _unit(error)
            base = hedge(said[i], columns, share, unit, f)
            target = min(6.0, max(-6.0, (y[i] - base) / unit))
            for r in range(FORGET.shape[0]):
                off = target - dot(w[r], f)
                rls_step(w[r], inverse[r], FORGET[r], f, off, int(seen[0]))
        seen[0] += 1.0
        for e in range(n_experts):
            off = said[i, columns[e], 0] - y[i]
            error[e] += (squared(off) - error[e]) / min(E_MEMORY, seen[0])
