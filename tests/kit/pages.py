"""Code in the pages of docs/, as it stands there; how long a browser waits for a page of ours."""

import re
from pathlib import Path

WAIT_MS = 20_000
DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
