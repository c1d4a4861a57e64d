"""Random draws whose whole state is one unsigned integer in an array (splitmix64, Steele et al. 2014).

A kernel's randomness is then part of its snapshot, and numba's global generator is never used.
"""

import math

import numpy as np
from numba import njit

from shared.models.port import F64, U64

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31)
_UNIT = 1.0 / 9007199254740992.0  # 2 ** -53


def seeded(seed: int) -> U64:
    """A fresh state."""
    return np.array([seed], np.uint64)


@njit(cache=True)
def uniform(state: U64) -> float:
    """In [0, 1)."""
    state[0] += _GOLDEN
    bits = state[0]
    bits = (bits ^ (bits >> _S30)) * _MIX_1
    bits = (bits ^ (bits >> _S27)) * _MIX_2
    bits = bits ^ (bits >> _S31)
    return float(bits >> _S11) * _UNIT


@njit(cache=True)
def below(state: U64, n: int) -> int:
    """A whole number in [0, n)."""
    return int(uniform(state) * n)


@njit(cache=True)
def exponential(state: U64, rate: float) -> float:
    """With the mean 1 / rate."""
    return -math.log(1.0 - uniform(state)) / rate


def poisson_chances(mean: float) -> F64:
    """[64] the chances of 0, 1, 2 ... for `poisson`; for small means."""
    chances = [math.exp(-mean)]
    for count in range(1, 64):
        chances.append(chances[-1] * mean / count)
    return np.array(chances)


@njit(cache=True)
def poisson(state: U64, chances: F64) -> int:
    """By inversion: one uniform a draw."""
    left = uniform(state)
    count = 0
    while count < chances.shape[0] and left >= chances[count]:
        left -= chances[count]
        count += 1
    return count
