"""Every detector of the table keeps the contract."""

import numpy as np
import pytest

from shared.drift.table import DETECTORS
from tests.contract.check_detector import check_detector

WORLDS = {
    "ranks": lambda r: (r.normal(size=(2600, 3)), r.normal(size=(250, 3)) + 1.5),
    "rates": lambda r: (1.0 * (r.random((1400, 3)) < 0.1), 1.0 * (r.random((250, 3)) < 0.5)),
}
WORLDS["rates_two_sided"] = WORLDS["rates"]


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_contract(name: str) -> None:
    ordinary, changed = WORLDS.get(name, WORLDS["ranks"])(np.random.default_rng(3))
    check_detector(DETECTORS[name], ordinary, changed)
