"""Mixing classifiers: conditional logits over the experts' log probabilities.

A member has one weight an expert, shared by the classes: p(c) ~ exp(sum_e w_e log said_e(c)).
Members: AdaGrad at four step sizes, Newton at three rates of forgetting, and one fixed at a third of
where the others start. They are
averaged by their recent loss on what they SAID when they predicted: judged by what they would say
now, the largest step always wins when labels come late. Gradients take today's weights on what the
experts said.
"""

import math

import numpy as np
from numba import njit

from shared.models.port import F32, F64, FAST, I64
from shared.models.scores import normalise

STEPS = np.array([0.1, 0.03, 0.01, 0.003])
FORGET = np.array([0.9998, 0.9999, 1.0])
N_LEARNED = 7  # members with weights of their own; the fixed one comes last
RIDGE = 20.0  # pull of a Newton member towards where it started
SOLVE_EVERY = 64.0  # labels; 16 among the first 64
MEMORY = 300.0  # labels, of a member's loss
SHARP = 20.0  # members' shares ~ exp(-SHARP loss)
KEEP = 0.999  # of AdaGrad's squares, a label
N_DONE, N_SINCE = 0, 1  # places in `clock`: labels learned, labels since the Newton members solved


@njit(cache=True, fastmath=FAST, forceinline=True)
def logs(said: F32, columns: I64, floor: float, out: F64) -> None:
    """`out` [E, K] = log of what the chosen experts said of one event, not below `floor`."""
    for e in range(columns.shape[0]):
        for c in range(said.shape[1]):
            out[e, c] = math.log(min(1.0, max(floor, said[columns[e], c])))


@njit(cache=True, fastmath=FAST, forceinline=True)
def member(w: F64, lp: F64, p: F64) -> None:
    """`p` [K] = what a member of weights `w` [E] says."""
    for c in range(p.shape[0]):
        s = 0.0
        for e in range(w.shape[0]):
            s += w[e] * lp[e, c]
        p[c] = s
    normalise(p)


@njit(cache=True, fastmath=FAST, forceinline=True)
def predict_block(
    said: F32, columns: I64, floor: float, w: F64, start: F64, loss: F64, members: F64, mean: F64
) -> None:
    """Fill `members` [n, R, K] and their weighted `mean` [n, K]."""
    n_experts, n_classes = columns.shape[0], said.shape[2]
    lp, fixed = np.empty((n_experts, n_classes)), start / 3.0
    share = np.exp(-SHARP * (loss - loss.min()))
    share /= share.sum()
    for i in range(said.shape[0]):
        logs(said[i], columns, floor, lp)
        mean[i] = 0.0
        for r in range(N_LEARNED + 1):
            member(w[r] if r < N_LEARNED else fixed, lp, members[i, r])
            for c in range(n_classes):
                mean[i, c] += share[r] * members[i, r, c]


@njit(cache=True, fastmath=FAST, forceinline=True)
def _adagrad(w: F64, squares: F64, step: float, lp: F64, err: F64) -> None:
    for e in range(w.shape[0]):
        g = 0.0
        for c in range(err.shape[0]):
            g += err[c] * lp[e, c]
        squares[e] = KEEP * squares[e] + g * g
        w[e] -= step * g / math.sqrt(squares[e] + 1.0)


@njit(cache=True, fastmath=FAST, forceinline=True)
def _curve(gradient: F64, hessian: F64, keep: float, lp: F64, p: F64, y: int, mu: F64) -> None:
    """Add one event's gradient and curvature to a Newton member's."""
    n_experts, n_classes = lp.shape
    for e in range(n_experts):
        mu[e] = 0.0
        for c in range(n_classes):
            mu[e] += p[c] * lp[e, c]
        gradient[e] = keep * gradient[e] + mu[e] - lp[e, y]
    for e in range(n_experts):
        for f in range(e + 1):
            q = -mu[e] * mu[f]
            for c in range(n_classes):
                q += p[c] * lp[e, c] * lp[f, c]
            hessian[e, f] = keep * hessian[e, f] + q
            hessian[f, e] = hessian[e, f]


@njit(cache=True, fastmath=FAST, forceinline=True)
def solve(matrix: F64, b: F64) -> None:
    """`b` = inverse(matrix) b by Cholesky; `matrix` (positive definite) is overwritten."""
    n = b.shape[0]
    for j in range(n):
        for k in range(j):
            matrix[j, j] -= matrix[j, k] * matrix[j, k]
        matrix[j, j] = math.sqrt(max(matrix[j, j], 1e-12))
        for i in range(j + 1, n):
            for k in range(j):
                matrix[i, j] -= matrix[i, k] * matrix[j, k]
            matrix[i, j] /= matrix[j, j]
    for i in range(n):
        for k in range(i):
            b[i] -= matrix[i, k] * b[k]
        b[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= matrix[k, i] * b[k]
        b[i] /= matrix[i, i]


@njit(cache=True, fastmath=FAST, forceinline=True)
def _newton(w: F64, start: F64, gradient: F64, hessian: F64, keep: float, since: float) -> None:
    """One step on the events gathered; what was forgotten of the pull to `start` is renewed."""
    pull = RIDGE * (1.0 - keep**since)
    b, m = gradient.copy(), hessian.copy()
    for e in range(w.shape[0]):
        b[e] += pull * (w[e] - start[e])
        m[e, e] += RIDGE
    solve(m, b)
    for e in range(w.shape[0]):
        w[e] -= b[e]
    gradient[:] = 0.0


@njit(cache=True, fastmath=FAST, forceinline=True)
def _judge(loss: F64, members: F32, y: int, done: float) -> None:
    """Move each member's loss by what it said."""
    n_classes = members.shape[1]
    for r in range(loss.shape[0]):
        miss = -math.log(0.998 * members[r, y] + 0.002 / n_classes)
        loss[r] += (miss - loss[r]) / min(done, MEMORY)


@njit(cache=True, fastmath=FAST, forceinline=True)
def learn_block(
    said: F32, columns: I64, floor: float, members: F32, y: I64,
    w: F64, start: F64, squares: F64, gradient: F64, hessian: F64, loss: F64, clock: F64,
) -> None:  # fmt: skip
    """Learn events in order; `members` without rows: there were none at prediction time."""
    n_experts, n_classes = columns.shape[0], said.shape[2]
    n_steps = STEPS.shape[0]
    lp, p, mu = np.empty((n_experts, n_classes)), np.empty(n_classes), np.empty(n_experts)
    for i in range(said.shape[0]):
        clock[N_DONE] += 1.0
        clock[N_SINCE] += 1.0
        if members.shape[0] > 0:
            _judge(loss, members[i], y[i], clock[N_DONE])
        logs(said[i], columns, floor, lp)
        for r in range(N_LEARNED):
            member(w[r], lp, p)
            if r < n_steps:
                p[y[i]] -= 1.0
                _adagrad(w[r], squares[r], STEPS[r], lp, p)
            else:
                a = r - n_steps
                _curve(gradient[a], hessian[a], FORGET[a], lp, p, y[i], mu)
        since = clock[N_SINCE]
        if since >= SOLVE_EVERY or (clock[N_DONE] < SOLVE_EVERY and since >= 16.0):
            for a in range(FORGET.shape[0]):
                _newton(w[n_steps + a], start, gradient[a], hessian[a], FORGET[a], since)
            clock[N_SINCE] = 0.0
