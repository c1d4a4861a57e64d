"""docs/YOUR_OWN_CSV.md, word for word: each command is run, and gives what the page promises."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.kit.runs import ROOT, environment

GUIDE = ROOT / "docs" / "YOUR_OWN_CSV.md"
ONCE = ("Compiling for this machine", "Warm after")
"""What only the first start on a machine says."""


def steps(text: str) -> list[tuple[str, str]]:
    """Commands and what follows them, from the page's console blocks."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, promised = part.partition("\n")
            found.append((command, promised))
    return found


def fits(promised: str, said: str) -> bool:
    """Whether `said` is as `promised`; `...` stands for anything."""
    parts = [re.escape(part.strip(" ")) for part in promised.strip().split("...")]
    return (
        re.fullmatch(r"\s*" + r".*?".join(rf"\s*{part}\s*" for part in parts), said, re.S)
        is not None
    )


def test_the_guide_word_for_word(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "heating" / "heating.csv", tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), environment()["PATH"]])
    commands = steps(GUIDE.read_text())
    assert len(commands) > 10
    for command, promised in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env={**environment(), "PATH": path},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        said = "".join(line for line in done.stdout.splitlines(True) if not line.startswith(ONCE))
        assert fits(promised, said), f"$ {command}\n{said}\n--- promised:\n{promised}"


def test_a_promise_can_be_broken() -> None:
    assert fits("a ... c\n", "a b\nb c\n") and fits("0.9...\n", "0.93\n") and fits("", "")
    assert not fits("a ... c\n", "a b d\n") and not fits("0.9...\n", "0.83\n")
    assert not fits("total: 2\n", "total: 2\nmore\n") and not fits("", "Traceback\n")
