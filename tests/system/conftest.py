"""A real browser, for the tests that look at pages."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.pages import WAIT_MS

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        message = (
            f"no browser on the PATH (looked for {', '.join(names)}): apt-get install chromium"
        )
        if "browser" in os.environ.get("REQUIRE_BACKENDS", ""):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """Opens pages; afterwards none of them may have complained (script errors, policy violations)."""
    complaints: list[str] = []
    contexts = []

    def open_at(url: str, width: int = 1280, **more: Any) -> Any:
        here = "/".join(url.split("/")[:3])
        context = browser.new_context(viewport={"width": width, "height": 900}, **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on(
            "console",
            lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(here) else complaints.append(r.url))
        page.goto(url)
        return page

    open_at.complaints = complaints  # type: ignore[attr-defined]  # read by one test
    yield open_at
    for context in contexts:
        context.close()
    assert complaints == []
