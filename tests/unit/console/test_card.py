import re

import pytest

from services.console.card import Facts, card_page, facts_of
from services.console.core import Board
from services.console.pane import Pane
from services.console.shell import make_app
from shared.messages.streams import JOBS, MODELS
from shared.messages.types import Job, ModelEvent
from tests.kit.recorded import believing, recording
from tests.unit.console.synthetic import HOSTILE, Story, problem
from tests.unit.console.test_shell import Client


@pytest.fixture(scope="module")
def real() -> Facts:
    """A version of a real run, with its job."""
    whole = recording()
    steps = [r.value for r in whole.outputs if r.stream is MODELS and r.value.model == "v2"]
    jobs = [r.value for r in whole.outputs if r.stream is JOBS and r.value.model == "v2"]
    told = [step for step in steps if step.state != "snapshot"]
    return Facts("v2", told, jobs, "17 as champion")


@pytest.mark.slow
def test_the_whole_line_from_outcomes_to_predictions_is_told(real: Facts) -> None:
    page = card_page(recording().problem, real)
    manifest = real.steps[0].manifest
    assert manifest is not None
    job: Job = real.jobs[-1]
    for told in (
        "0 to 300", job.job, job.trigger, "logistic (linear)", "v2", "17 as champion",
        manifest["artefact"]["digest"], manifest["signature"]["key"], manifest["code"],
        manifest["selection"]["digest"], recording().problem.goal, "nswdemand", "weights can be read",
    ):  # fmt: skip
        assert told in page, told
    for heading in ("What it is", "Where it comes from", "How it was tested", "Its data",
                    "How it was made", "Decisions"):  # fmt: skip
        assert f"<h2>{heading}</h2>" in page
    for explained in ("worst slices", "calibration error", "rows held back", "Looks"):
        assert explained in page, explained


@pytest.mark.slow
def test_the_page_needs_nothing_beside_it_and_runs_nothing(real: Facts) -> None:
    page = card_page(recording().problem, real)
    assert not re.findall(r"<script|<link|<img|<iframe|src=|href=|@import|url\(", page)
    hostile = ModelEvent(model="v9", state="shadow", time=real.steps[0].time, reason=HOSTILE)
    shown = card_page(problem(goal=HOSTILE), Facts("v9", [hostile], [], HOSTILE))
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


def test_the_console_serves_a_card_a_version() -> None:
    board = Board(problem(), believing)
    board.handle(list(Story(1_500).records()))
    pane = Pane(lambda: 100.0)
    pane.refresh(board)
    client = Client(make_app(pane, problem(), lambda control: None))
    known = facts_of(board)
    assert {"v1", "v2"} <= set(known)
    for version in known:
        answer = client.get(f"/models/{version}/card")
        assert answer.status_code == 200
        assert f"{version}: model card and data card" in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert f'href="/models/{version}/card"' in client.get("/").text
    assert client.get("/models/v99/card").status_code == 404
    assert "style-src 'self'" in client.get("/").headers["content-security-policy"]
