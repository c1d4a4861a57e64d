"""Mixing regressors: least squares over what the experts say, beside a hedge that needs no learning.

The hedge weighs experts by their recent squared error. Two least-squares members (forgetting .9995
and .995) correct it by the experts' differences from it. The three are averaged by their recent
squared error on what they SAID. The answer's interval is the answer +- a half width that tracks the
90 % quantile of the absolute error (online quantile tracking, the scale-free form of adaptive
conformal inference, Gibbs & Candes 2021): on any stream the share of misses goes to 10 % of the
labels.
"""

import math

import numpy as np
from numba import njit

from shared.models.port import F32, F64, FAST, I64
from shared.models.rls import dot, rls_step

FORGET = np.array([0.9995, 0.995])
N_MEMBERS = 3  # two least squares, the hedge
ANSWER = 3  # the row of `members` that holds the answer itself
E_MEMORY, R_MEMORY = 100.0, 300.0  # labels: experts' and members' squared errors
E_SHARP, R_SHARP = 4.0, 20.0
CUT = 5.0  # errors of the best expert that a difference may be
MISS = 0.1  # share of targets outside the interval
TINY = 1e-12
N_DONE, HALF_WIDTH = 0, 1  # places in `track`
CALIBRATED = 30  # labels before an interval is given


@njit(cache=True, fastmath=FAST)
def shares(error: F64, sharp: float, out: F64) -> None:
    """Weights that fall with the squared error relative to the least one; their sum is 1."""
    least = error.min() + 1e-300
    total = 0.0
    for e in range(error.shape[0]):
        out[e] = math.exp(-sharp * min(100.0, error[e] / least - 1.0))
        total += out[e]
    for e in range(error.shape[0]):
        out[e] /= total


@njit(cache=True, fastmath=FAST)
def hedge(said: F32, columns: I64, share: F64, unit: float, f: F64) -> float:
    """The weighted mean of what was said; `f`: the experts' differences from it, in `unit`s, cut."""
    base = 0.0
    for e in range(columns.shape[0]):
        base += share[e] * said[columns[e], 0]
    for e in range(columns.shape[0]):
        f[e] = min(CUT, max(-CUT, (said[columns[e], 0] - base) / unit))
    return base


@njit(cache=True, fastmath=FAST)
def _unit(error: F64) -> float:
    return math.sqrt(error.min()) + 1e-150


@njit(cache=True, fastmath=FAST)
def predict_block(
    said: F32, columns: I64, w: F64, error: F64, missed: F64, members: F32, mean: F64
) -> None:
    """Fill `members` [n, 4, 1] and the answer `mean` [n, 1]."""
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
        mean[i, 0] = answer


@njit(cache=True, fastmath=FAST)
def _track(track: F64, miss: float) -> None:
    """Move the half width: up a lot on a miss, down a little on a hit, in proportion to itself."""
    track[N_DONE] += 1.0
    step = max(0.02, 1.0 / math.sqrt(track[N_DONE]))
    if track[HALF_WIDTH] <= 0.0:
        track[HALF_WIDTH] = miss
        return
    outside = 1.0 if miss > track[HALF_WIDTH] else 0.0
    track[HALF_WIDTH] *= math.exp(step * (outside - MISS))


@njit(cache=True, fastmath=FAST)
def _judge(missed: F64, track: F64, members: F32, y: float) -> None:
    for r in range(N_MEMBERS):
        off = members[r, 0] - y
        missed[r] += (off * off - missed[r]) / min(R_MEMORY, track[N_DONE] + 1.0)
    _track(track, abs(members[ANSWER, 0] - y))


@njit(cache=True, fastmath=FAST)
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
            error[e] += (off * off - error[e]) / min(E_MEMORY, seen[0])
