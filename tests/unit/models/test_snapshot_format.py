"""A snapshot says in which format it is; another format is refused before anything of it is used."""

import json

import numpy as np
import pytest

from shared.errors import Fatal
from shared.models.pool import FORMAT, Pool


def test_a_snapshot_of_another_format_is_refused_in_words() -> None:
    state = Pool("binary", 2, experts=("counts",)).snapshot()
    about = json.loads(state["pool"].tobytes())
    assert about["format"] == FORMAT == 1
    state["pool"] = np.frombuffer(json.dumps({**about, "format": 2}).encode(), np.uint8)
    with pytest.raises(Fatal, match=r"format 2.*reads 1.*--fresh"):
        Pool.of(state)
    del about["format"]  # as the first ones were
    state["pool"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    assert Pool.of(state).task == "binary"
