"""Runs of the real command as child processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ELECTRICITY = ROOT / "examples" / "electricity" / "problem.yaml"


def environment() -> dict[str, str]:
    """The child's environment: ours, without foreign settings."""
    foreign = ("HEADRACE_", "PYTHONDONTWRITEBYTECODE")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return {**kept, "OMP_NUM_THREADS": "1"}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "services", *map(str, arguments)]


def headrace(*arguments: str | Path, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=environment(), capture_output=True, text=True,
        timeout=timeout_s, check=False,
    )  # fmt: skip


def start(*arguments: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(*arguments), cwd=ROOT, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run_json(problem: Path, data_dir: Path, *more: str | Path) -> dict[str, Any]:
    """`headrace run --json`; its object."""
    done = headrace("run", problem, "--data-dir", data_dir, "--json", *more)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def electricity() -> dict[str, Any]:
    """The example's problem file. (PyYAML follows YAML 1.1, which takes `on` for true.)"""
    import yaml

    found: dict[str, Any] = yaml.safe_load(ELECTRICITY.read_text().replace("{on: ", '{"on": '))
    return found


def shortened(tmp_path: Path, rows: int, **changes: Any) -> Path:
    """The electricity example with its first `rows` rows (a problem file beside its data)."""
    import pandas as pd

    source = ELECTRICITY.parent / "electricity.parquet"
    pd.read_parquet(source).head(rows).to_parquet(tmp_path / "electricity.parquet")
    problem = electricity()
    for dotted, value in changes.items():
        section = problem
        *path, last = dotted.split("__")
        for name in path:
            section = section.setdefault(name, {})
        section[last] = value
    target = tmp_path / "problem.yaml"
    target.write_text(json.dumps(problem, indent=1))
    return target
