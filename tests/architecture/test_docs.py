"""Docs tell the truth of today."""

import re

import pytest

from tests.architecture.generated import FILES, ROOT, SECTIONS, expected


@pytest.mark.parametrize("path", [*SECTIONS, *FILES])
def test_generated_docs_are_current(path: str) -> None:
    assert (ROOT / path).read_text() == expected(path), "run `make docs`"


def test_links_in_docs_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if not target.startswith(("http:", "https:", "mailto:"))
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_every_make_target_that_docs_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+)(?: [a-z ]+)?:", (ROOT / "Makefile").read_text(), re.M))
    targets |= set(["architecture", "unit", "contract", "system", "chaos"])
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    named = {t for page in pages for t in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert named <= targets, named - targets
