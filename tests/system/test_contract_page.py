"""docs/CONTRACT.md: its curl commands do what they say."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from shared.messages.streams import OUTCOMES, PREDICTIONS
from tests.kit.pages import blocks
from tests.kit.serving import small_problem, system


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_curl_commands_work(tmp_path: Path) -> None:
    (shell,) = blocks("CONTRACT.md", "sh")
    with system(small_problem(), tmp_path) as running:
        text = shell.replace("http://localhost:8765", running.url)
        done = subprocess.run(["sh", "-e", "-c", text], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        said = [json.loads(line) for line in done.stdout.replace("}{", "}\n{").splitlines()]
        assert [row.get("id") for row in said] == ["e-3", "e-4", None]
        assert said[2] == {"accepted": 2}
        log = running.embedded.log
        assert [json.loads(r.value)["id"] for r in log.read((PREDICTIONS,), {}, 9)] == [
            "e-3",
            "e-4",
        ]
        running.client.post("/v1/score", json={"id": "x", "at": 1_800_000_000, "a": 1, "b": 1})
        assert [json.loads(r.value)["label"] for r in log.read((OUTCOMES,), {}, 9)] == [1, 0]


def test_the_python_code_compiles() -> None:
    found = blocks("CONTRACT.md", "python")
    assert len(found) == 3
    for block in found:
        compile(block, "CONTRACT.md", "exec")
