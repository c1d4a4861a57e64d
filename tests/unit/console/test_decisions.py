"""What the page shows of decisions: on the job's card, who decided what, and with which key."""

import msgspec

from services.console.core import Board
from services.console.gains import policy_rows
from services.console.pages import Pages
from services.console.panels import job_cards, model_cards
from services.console.snapshot import view_of
from services.console.story import story
from shared.messages.streams import JOBS, MODELS
from shared.messages.types import Job, ModelEvent
from shared.problem.spec import Retraining
from shared.registry.decisions import sealed
from shared.stage import Record
from tests.kit.recorded import KEY, trusting
from tests.unit.console.synthetic import START, problem


def told() -> Board:
    """job-0001 makes v2; it wins, answers its share, and is taken back by ada."""
    job = Job(job="job-0001", state="requested", reason="drift", trigger="drift", time=START)
    accepted = Job(job="job-0001", state="accepted", reason="better", trigger="drift", time=START,
                   model="v2", evidence={"metric": "accuracy"})  # fmt: skip
    steps = [
        ModelEvent(model="v1", state="champion", time=START, by="learner"),
        ModelEvent(model="v2", state="shadow", time=START, by="trainer", job="job-0001"),
        ModelEvent(model="v2", state="canary", time=START, by="judge", outcomes=700,
                   reason="answers 5.0% of the events", evidence={"e_value": 31.0}),
        ModelEvent(model="v2", state="rejected", time=START, by="ada", reason="taken back"),
    ]  # fmt: skip
    board = Board(problem(), trusting)
    records = [Record(JOBS, job), Record(JOBS, sealed(accepted, KEY.sign))]
    records += [Record(MODELS, sealed(step, KEY.sign)) for step in steps[:3]]
    list(board.handle(records))
    canary = {card.name: card for card in model_cards(board)}["v2"]
    assert (canary.role, canary.can_promote, canary.can_roll_back) == ("canary", True, True)
    list(board.handle([Record(MODELS, sealed(steps[3], KEY.sign))]))
    return board


def test_the_jobs_card_tells_what_became_of_its_model() -> None:
    (card,) = job_cards(told())
    assert [line.state for line in card.life] == [
        "requested", "accepted", "shadow", "canary", "rejected",
    ]  # fmt: skip
    key = f"signed with key {KEY.key_id}"
    assert card.life[3].text == f"answers 5.0% of the events (by judge, {key})"
    assert card.life[3].place == "after 700 outcomes"
    assert card.life[4].text == f"taken back (by ada, {key})"


def test_who_is_out_can_neither_be_promoted_nor_taken_back() -> None:
    gone = {card.name: card for card in model_cards(told())}["v2"]
    assert (gone.role, gone.can_promote, gone.can_roll_back) == ("rejected", False, False)
    assert gone.evidence


def test_what_a_job_gained_stands_beside_its_verdict_and_is_counted_once() -> None:
    board = told()
    account = {"verdict": "accepted", "metric": "accuracy", "gained": 58.0, "low": 12.0, "high": 104.0,
               "pairs": 2_000, "price": 50.0, "net": 8.0, "fit_seconds": 2.0}  # fmt: skip
    settled = Job(job="job-0001", state="settled", reason="saved 58 errors", trigger="drift",
                  time=START, model="v2", evidence=account)  # fmt: skip
    open_before = job_cards(board)[0].gain
    list(board.handle([Record(JOBS, sealed(settled, KEY.sign))] * 2))
    (card,) = job_cards(board)
    assert "known when v2" in open_before
    assert (card.state, card.gain, card.gain_tone) == ("accepted", "saved 58 errors", "good")
    assert card.life[-1].state == "settled"
    (row,) = policy_rows(board)
    assert (row.policy, row.jobs, row.gained, row.between) == ("drift", "1", "+58", "+12 to +104")
    assert (row.price, row.net) == ("50", "+8")
    assert [h.text for h in story(board) if h.key == "job-0001:settled"] == ["saved 58 errors"]
    (job,) = board.summary()["jobs"]
    assert (job["state"], job["gain"]["net"]) == ("accepted", 8)
    assert board.summary()["policies"][0]["net"] == 8
    for price, told_of in ((None, "No price of a fit is declared"), (50.0, "Price: 50 a fit")):
        spec = board.problem.model_copy(update={"retraining": Retraining(fit_price=price)})
        html = Pages(spec, "t").panels(view_of(board), "here")["jobs"]
        assert told_of in html
        assert "What it gained:</strong> saved 58 errors" in html
        assert '<th scope="row">drift</th>' in html
    again = Board(problem(), trusting)
    again.restore({key: data for key, data in board.changes() if data is not None})
    assert again.summary() == board.summary()


def test_what_no_trusted_key_signed_is_not_shown_as_having_happened() -> None:
    board = told()
    before = [step.event for step in board.live.history], board.ledger.jobs.get("job-0001")
    shadow = ModelEvent(model="v3", state="shadow", time=START, by="trainer")
    signed = sealed(msgspec.structs.replace(shadow, state="champion"), KEY.sign)
    verdict = Job(job="job-0001", state="rejected", reason="no", trigger="drift", time=START)
    forged = [shadow, msgspec.structs.replace(shadow, signature=signed.signature)]
    list(board.handle([*(Record(MODELS, step) for step in forged), Record(JOBS, verdict)]))
    assert ([s.event for s in board.live.history], board.ledger.jobs.get("job-0001")) == before
    assert board.summary()["refused_records"] == 3
