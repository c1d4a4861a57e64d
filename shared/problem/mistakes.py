"""What is wrong in a problem file, where, and what to write instead."""

from difflib import get_close_matches
from typing import NamedTuple

Path = tuple[str | int, ...]
"""Where in the file: keys and list indexes from the top."""


SECOND = "(second)"
"""The step of a path that stands for a key's second appearance."""


class Mistake(NamedTuple):
    """One mistake. `key`: it is the key itself that is wrong, not its value."""

    path: Path
    wrong: str
    write: str
    key: bool = False


def dotted(path: Path) -> str:
    """`features[2].by`, as people write it."""
    text = ""
    for step in path:
        if step == SECOND:
            continue
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text or "(the whole file)"


def nearest(name: object, known: list[str]) -> str:
    """`write `x` ` for a slip of the pen, else what is allowed."""
    near = get_close_matches(str(name), known, 1, 0.6)
    allowed = ", ".join(known) if known else "nothing"
    return f"`{near[0]}` (allowed: {allowed})" if near else f"one of: {allowed}"
