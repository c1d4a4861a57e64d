"""Kernels whose sums may be reordered: their results must not hang on what else a process loaded.

Numba links a function that is called into each caller, optimises it again there, and the process then
takes any of those copies for all: with fast math they differ in the last bits, so a start with an empty
cache and one with a full cache would not give the same bytes. Inlined, each kernel is of one piece.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "shared" / "models").glob("*.py"))


def kernels() -> dict[str, ast.FunctionDef]:
    found = {}
    for source in SOURCES:
        for node in ast.parse(source.read_text()).body:
            if isinstance(node, ast.FunctionDef) and any(
                "njit" in ast.unparse(d) for d in node.decorator_list
            ):
                found[f"{source.stem}.{node.name}"] = node
    return found


def called(all_kernels: dict[str, ast.FunctionDef]) -> set[str]:
    """Kernels that another kernel calls, by `name(...)` or `module.name(...)`."""
    names = set()
    for place, node in all_kernels.items():
        for call in ast.walk(node):
            if isinstance(call, ast.Call):
                text = ast.unparse(call.func)
                here = f"{place.split('.')[0]}.{text}"
                names |= (
                    {here}
                    if here in all_kernels
                    else {k for k in all_kernels if k == text or k.endswith(f".{text}")}
                )
    return names


def test_fast_kernels_that_others_call_are_inlined() -> None:
    found = kernels()
    loose = [
        name
        for name in sorted(called(found))
        for decorator in [ast.unparse(found[name].decorator_list[0])]
        if "fastmath" in decorator and "inline" not in decorator
    ]
    assert len(found) > 80
    assert not loose, f"called by other kernels, so they need forceinline=True: {', '.join(loose)}"
