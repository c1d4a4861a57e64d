"""Files, functions and folders stay small; nothing names what it must not."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted([*ROOT.glob("services/**/*.py"), *ROOT.glob("shared/**/*.py")])
TESTS = sorted(ROOT.glob("tests/**/*.py"))
MOST_LINES = 400
MOST_FUNCTION_LINES = 40
MOST_TYPE_IGNORES = 5


def test_no_file_over_the_cap() -> None:
    long = {str(p.relative_to(ROOT)): n for p in [*CODE, *TESTS] if (n := _lines(p)) > MOST_LINES}
    assert not long


def test_no_function_over_the_cap() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {length} lines"
        for path in CODE
        for node, length in _functions(path)
        if length > MOST_FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


def test_few_type_ignores() -> None:
    ignores = [p for p in CODE for line in p.read_text().splitlines() if "type: ignore" in line]
    assert len(ignores) <= MOST_TYPE_IGNORES, ignores


def test_at_most_twelve_subfolders_a_folder() -> None:
    folders = [p for p in (ROOT / "services", ROOT / "shared", *ROOT.glob("shared/*/"))]
    for folder in folders:
        subfolders = [p for p in folder.iterdir() if p.is_dir() and p.name != "__pycache__"]
        assert len(subfolders) <= 14, folder


def test_tracked_files_are_text_of_ours_or_declared_data() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    big = [f for f in listed if (ROOT / f).exists() and (ROOT / f).stat().st_size > 1_000_000]
    assert not big


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def _functions(path: Path) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, int]]:
    """Functions with their length in code lines: docstrings do not count."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = (
                node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            )
            yield node, (node.end_lineno or 0) - first.lineno + 1
