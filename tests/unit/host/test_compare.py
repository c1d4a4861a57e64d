"""`headrace models compare`: every decision with who signed it, and whether that is true."""

from pathlib import Path

import pytest

from services.inspection import Run, compare
from services.judge.core import Judge
from shared import wiring
from shared.log.port import Append
from shared.messages.codec import encode
from shared.messages.streams import MODELS
from shared.messages.types import ModelEvent
from shared.problem.spec import Canary
from shared.registry.decisions import sealed
from shared.settings import load
from tests.unit.judge.test_judge import BORN, T0, control, event, problem, run, tools

SHADOW = ModelEvent(model="v2", state="shadow", time=T0, by="trainer", reason="better")


@pytest.fixture
def story(tmp_path: Path) -> tuple[Run, list[ModelEvent]]:
    """Accepted, let on by ada, taken back by bob; all signed with the run's key."""
    signer = wiring.open_keys(load(), tmp_path).signer
    sign, judge = signer.sign, Judge(problem(canary=Canary()), tools(signer))
    steps = [sealed(SHADOW, sign)]
    steps += run(judge, BORN, event("v2", "shadow"), control("promote", target="v2", by="ada"))
    steps += run(judge, control("rollback", by="bob", reason="calls came in"))
    return Run(tmp_path, "toy"), steps


def written(place: Run, steps: list[ModelEvent]) -> list[str]:
    """What compare says of the signatures."""
    log = wiring.open_log(load(), *place)
    with log.begin("test") as transaction:
        transaction.append([Append(MODELS, encode(step), step.model) for step in steps])
    log.close()
    rows = compare(place, "v2")
    assert [(row["step"], row["by"]) for row in rows] == [
        ("shadow", "trainer"), ("canary", "ada"), ("rejected", "bob"),
    ]  # fmt: skip
    return [row["signed"] for row in rows]


def test_every_step_is_checked(story: tuple[Run, list[ModelEvent]]) -> None:
    place, steps = story
    key = steps[0].signature
    assert key is not None
    assert written(place, steps) == [f"with key {key['key']}, checked"] * 3


def test_a_changed_record_is_told(story: tuple[Run, list[ModelEvent]]) -> None:
    place, steps = story
    steps[1].reason = "promoted: somebody changed the log"
    told = written(place, steps)
    assert told[1].startswith("NOT VALID")
    assert told[0] == told[2]


def test_without_the_key_nothing_is_claimed(story: tuple[Run, list[ModelEvent]]) -> None:
    place, steps = story
    (place.directory / wiring.KEY).unlink()
    assert all("not checked" in said for said in written(place, steps))
