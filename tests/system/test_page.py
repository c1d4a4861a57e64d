"""The page in a real browser, over a synthetic run that goes on while it is looked at."""

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import uvicorn

from services.console.core import Board
from services.console.pane import Pane
from services.console.shell import make_app
from shared.messages.types import Control
from shared.runtime.clock import elapsed_s
from tests.kit.pages import WAIT_MS
from tests.kit.recorded import believing
from tests.unit.console.synthetic import Story, problem

pytestmark = pytest.mark.browser


class Site:
    """A board that a thread folds, a page over it. `go_on(share)` lets it fold up to there."""

    def __init__(self, share: float) -> None:
        self.given: list[Control] = []
        self._records = list(Story(3_000).records())
        self._end = int(share * len(self._records))
        self._stop = Event()
        self._pane = Pane(elapsed_s)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app = make_app(self._pane, problem(), self.given.append)
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        serve = Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._threads = [serve, Thread(target=self._fold, daemon=True)]
        for thread in self._threads:
            thread.start()

    def go_on(self, share: float) -> None:
        self._end = int(share * len(self._records))

    def close(self) -> None:
        self._stop.set()
        self._pane.close()
        self._server.should_exit = True
        for thread in self._threads:
            thread.join(timeout=10)
        self._socket.close()

    def _fold(self) -> None:
        board, at = Board(problem(), believing), 0
        while not self._stop.is_set():
            until = min(at + 200, self._end)
            board.handle(self._records[at:until])
            at = until
            self._pane.refresh(board)
            self._stop.wait(0.01 if at < self._end else 0.1)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Most of the run: the break, the alert, the swap, one job under way; v1 in shadow."""
    site = Site(0.9)
    yield site
    site.close()


def drawn_pixels(page: Any, selector: str = "#chart canvas") -> int:
    """How many pixels of the picture are not blank."""
    count: int = page.eval_on_selector(
        selector,
        "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }",
    )
    return count


def test_the_picture_and_its_marks(open_page: Any, site: Site) -> None:
    page = open_page(site.url)
    page.wait_for_selector("#chart .mark-model")
    assert drawn_pixels(page) > 3_000
    assert drawn_pixels(page, "#rate canvas") > 1_000
    assert page.locator(".mark-alert").count() == 1 and page.locator(".mark-model").count() == 1
    words = page.locator("#lanes").inner_text()
    for word in ("source break", "input drift", "v1", "v2", "job-0001 accepted"):
        assert word.lower() in words.lower(), word
    alert, job, swap = (
        page.locator(selector).first.bounding_box()["x"]
        for selector in (".mark-alert", ".lane-job .bar-item", ".mark-model")
    )
    assert alert < job < swap, "cause, alert, retraining, decision stand in this order"
    assert page.locator("#legend .chip").count() >= 6
    page.locator("#legend .chip", has_text="no change").click()
    assert (
        page.locator("#legend .chip", has_text="no change").get_attribute("aria-pressed")
        == "false"
    )


def test_axes_spans_zoom_and_keys(open_page: Any, site: Site) -> None:
    page = open_page(site.url)
    page.wait_for_selector("#chart .mark-model")
    page.get_by_label("all so far").check()
    page.get_by_label("events", exact=True).check()
    assert page.locator("#chart .mark-model").count() == 1
    page.locator("#chart").focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert page.locator("#reading").inner_text().startswith("At the line")
    page.keyboard.press("Escape")
    page.get_by_text("Newest: ").wait_for()
    box = page.locator("#chart .u-over").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 80, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Show the whole run").click()
    page.keyboard.press("m")
    assert page.evaluate("location.hash") == "#models"


def test_every_number_is_explained_where_it_stands(open_page: Any, site: Site) -> None:
    page = open_page(site.url)
    for figure in page.locator(".figure").all():
        for part in (".name", ".value", ".sure", ".of"):
            assert figure.locator(part).inner_text().strip(), part
        figure.locator("summary").click()
        assert figure.locator(".how").is_visible()
    assert "of" in page.locator("#figure-overall .of").inner_text()
    assert "±" in page.locator("#figure-overall .sure").inner_text()


def test_news_arrive_by_themselves(open_page: Any) -> None:
    site = Site(0.1)
    try:
        page = open_page(site.url)
        page.wait_for_selector("html[data-frames]")
        assert page.locator("#alerts .item").count() == 0
        assert "No alert so far" in page.locator("#alerts").inner_text()
        assert page.locator("#jobs .empty li").count() == 2
        page.locator("#figure-overall summary").click()
        before = page.locator("#figure-events .value").inner_text()
        site.go_on(0.9)
        page.wait_for_selector("#alerts .item")
        page.wait_for_selector("#chart .mark-model")
        assert page.locator("#figure-events .value").inner_text() != before
        assert page.locator("#figure-overall").get_attribute("open") is not None, "it was open"
        assert page.locator("#model-v2").inner_text().startswith("★ champion")
        page.close()
    finally:
        site.close()


def test_a_deep_link_opens_what_it_points_to(open_page: Any, site: Site) -> None:
    page = open_page(site.url + "/#job-job-0001")
    page.wait_for_selector("#more-job-job-0001[open]")
    assert page.locator("#job-job-0001 .sheet").first.is_visible()
    assert "boosting" in page.locator("#job-job-0001").inner_text()


def test_commands_are_asked_about_and_handed_on(open_page: Any, site: Site) -> None:
    page = open_page(site.url)
    page.get_by_role("button", name="Retrain now").click()
    page.get_by_label("Why").fill("because <b>I</b> say so")
    page.get_by_role("button", name="Do it").click()
    page.wait_for_selector("#said .good")
    assert [(c.command, c.reason, c.by) for c in site.given] == [
        ("retrain", "because <b>I</b> say so", "page")
    ]
    page.locator("#model-v1").get_by_role("button", name="Promote").click()
    page.get_by_role("button", name="Cancel").click()
    assert len(site.given) == 1
    page.locator("#alert-alert-0001").get_by_role("button", name="Acknowledge").click()
    page.get_by_role("button", name="Do it").click()
    page.locator("#said", has_text="acknowledge").wait_for()
    assert site.given[-1].target == "alert-0001"


def test_a_refused_command_says_why(open_page: Any, site: Site) -> None:
    page = open_page(site.url)
    page.get_by_role("button", name="Retrain now").click()
    page.evaluate("document.querySelector('[name=command]').value = 'promote'")
    page.get_by_role("button", name="Do it").click()
    page.wait_for_selector("#said .bad")
    assert "no shadow" in page.locator("#said").inner_text()
    assert any("409" in complaint for complaint in open_page.complaints)
    open_page.complaints.clear()  # the browser logs the refusal itself


def test_hostile_events_stay_text(open_page: Any, site: Site) -> None:
    page = open_page(site.url)
    page.locator("#more-rejected summary").click()
    assert "<script>alert" in page.locator("#rejected").inner_text()
    assert page.locator("#rejected script, #rejected img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_is_enough(open_page: Any, site: Site, scheme: str, tmp_path: Path) -> None:
    page = open_page(site.url, width=360, color_scheme=scheme)
    page.wait_for_selector("#chart .mark-model")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(map(int, re.findall(r"\d+", ground)[:3])) < 200
    assert dark == (scheme == "dark")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    page.wait_for_selector("#chart .mark-model")


def test_a_lost_connection_is_said(open_page: Any) -> None:
    site = Site(0.3)
    page = open_page(site.url)
    page.wait_for_selector("html[data-frames]")
    site.close()
    page.wait_for_selector("html.offline", timeout=WAIT_MS)
    time.sleep(0.2)
    open_page.complaints.clear()  # the browser logs the lost connection itself
