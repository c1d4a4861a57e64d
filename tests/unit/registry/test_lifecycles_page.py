from pathlib import Path

from shared.registry.lifecycle import page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "lifecycles.md"


def test_the_page_is_current() -> None:
    wanted = "python -m shared.registry.lifecycle > docs/lifecycles.md"
    assert PAGE.read_text() == page(), f"write it anew: {wanted}"
