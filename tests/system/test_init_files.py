"""`headrace init` and `headrace run`, unedited, on files of other people: as good as by hand."""

from pathlib import Path

import pytest

from tests.bench.init_files import File, compare, files

ROWS = 400


@pytest.mark.slow
@pytest.mark.parametrize("file", [*files(None, ROWS)], ids=lambda file: file.name)
def test_a_drafted_problem_is_as_good_as_one_by_hand(file: File, tmp_path: Path) -> None:
    found = compare(file, tmp_path)
    assert found.ours >= found.by_hand - 0.01, found
    assert found.rejected == 0
