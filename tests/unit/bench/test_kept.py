"""Cells of a bench are reckoned once, and anew when what they depend on has changed."""

from pathlib import Path

import shared.bench.kept
import shared.evaluation.retraining
from shared.bench.kept import Kept


def test_a_cell_is_reckoned_once_for_the_same_data_code_and_versions(tmp_path: Path) -> None:
    reckoned: list[str] = []

    def cell(kept: Kept, data: bytes, label: str = "a") -> bool:
        rows, known = kept.cell(label, [data], lambda: [{"n": len(reckoned.append(label) or "x")}])
        assert rows == [{"n": 1}]
        return known

    code = (shared.bench.kept, shared.evaluation.retraining)
    kept = Kept(tmp_path, code, {"numpy": "2"})
    assert [cell(kept, b"x"), cell(kept, b"x"), cell(kept, b"y")] == [False, True, False]
    assert cell(Kept(tmp_path, code, {"numpy": "2"}), b"x")
    assert not cell(Kept(tmp_path, code, {"numpy": "3"}), b"x")
    assert not cell(Kept(tmp_path, code[:1], {"numpy": "2"}), b"x")
    assert not cell(kept, b"x", "b")
    assert not cell(Kept(None, code, {}), b"x")
    assert len(reckoned) == 6
