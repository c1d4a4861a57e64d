"""The data page in a real browser: it shows, keeps itself up to date, and breaks no policy."""

from typing import Any

import pytest

from tests.system.test_page import Site

pytestmark = pytest.mark.browser


def test_the_data_page_shows_and_follows(open_page: Any) -> None:
    site = Site(share=0.5)
    try:
        page = open_page(site.url)
        page.get_by_role("link", name="Data", exact=True).click()
        page.locator("#feature-nswprice svg.histogram rect.now").first.wait_for()
        assert page.locator(".feature").count() == 3
        page.locator("select[name=span]").select_option("all")
        page.get_by_role("button", name="Show").click()
        heading = page.locator("#window-title")
        before = heading.inner_text()
        site.go_on(1.0)
        page.wait_for_function(
            "text => document.querySelector('#window-title').innerText !== text", arg=before
        )
        assert page.locator(".matrix td").count() == 9
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    finally:
        site.close()
