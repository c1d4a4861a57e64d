"""Small made-up streams for the tests of the pool."""

import numpy as np

from shared.models.port import F64, I64, Labels, Rows, Task


def noisy_stream(task: Task, n: int, seed: int = 3, n_features: int = 4) -> tuple[F64, Labels]:
    """Features with missing values, a constant, a wild scale and heavy tails; learnable labels."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, n_features))
    signal = x[:, 0] + 0.5 * np.sin(2.0 * x[:, 1]) + 0.2 * rng.normal(size=n)
    x[:, 1] *= 1e6
    x[:, 2] = 7.0
    x[:, 3] = rng.standard_cauchy(n)
    x[rng.random((n, n_features)) < 0.05] = np.nan
    if task == "regression":
        return x, 100.0 + 10.0 * signal
    cuts = [0.0] if task == "binary" else [-0.5, 0.5]
    return x, np.digitize(signal, cuts).astype(np.int64)


def rows_of(x: F64, z: F64 | None = None, first: int = 0, place: I64 | None = None) -> Rows:
    """Rows as an expert sees them, at the places from `first` on, or at `place`; the view is `z`."""
    z = x if z is None else z
    return Rows(x, z, z, np.arange(first, first + len(x)) if place is None else place)
