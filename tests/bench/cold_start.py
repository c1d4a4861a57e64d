"""A start with an empty cache, then with a full one: how long until the first event is answered.

`python -m tests.bench.cold_start` prints JSON: wall seconds from the command to the answer over HTTP,
CPU seconds of the process up to then (`first_cpu_s`), and when it is warm, as it says itself.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.kit.runs import ELECTRICITY, command, environment

PATIENCE_S = 600.0


def start(folder: Path, kernels: Path, name: str) -> dict[str, Any]:
    """One start over a fresh data directory."""
    file = folder / "problem.yaml"  # the example without its file of events
    file.write_text(re.sub(r"(?ms)^source:.*?(?=^\S)", "", ELECTRICITY.read_text()))
    event = pq.read_table(ELECTRICITY.parent / "electricity.parquet").slice(0, 1).to_pylist()[0]
    event.pop("rises")
    body = json.dumps(event, default=lambda value: value.isoformat()).encode()
    asked = command("run", file, "--data-dir", folder / name, "--port", "0")
    began = time.monotonic()
    with subprocess.Popen(
        asked, env=environment() | {"NUMBA_CACHE_DIR": str(kernels)}, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        _answer(process, folder / name / "url", body)
        found = {"first_answer_s": time.monotonic() - began, "first_cpu_s": _cpu_s(process.pid)}
        for line in process.stderr:
            if "Warm after" in line:
                found |= {"warm_s": time.monotonic() - began, "warm_cpu_s": _cpu_s(process.pid)}
                break
            if name == "cached" and "page is at" in line:
                break
        process.terminate()
        process.stderr.read()
    return {key: round(value, 2) for key, value in found.items()}


def _answer(process: "subprocess.Popen[str]", url: Path, body: bytes) -> None:
    while process.poll() is None:
        try:
            request = urllib.request.Request(
                url.read_text() + "/v1/score", body, {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                assert answer.status == 200
                return
        except (FileNotFoundError, urllib.error.URLError):
            time.sleep(0.02)
    raise RuntimeError(process.stderr.read() if process.stderr else "it ended")


def _cpu_s(pid: int) -> float:
    spent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {way: start(folder, folder / "kernels", way) for way in ("cold", "cached")}
    json.dump(found, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
