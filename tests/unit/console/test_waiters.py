"""Waiters against a slow, obvious version: whoever waits gets the answer to its own event, once."""

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.console.waiters import Ticket, Waiters
from shared.errors import Reject
from shared.messages.streams import EVENTS, PREDICTIONS, REJECTED
from shared.messages.types import Prediction, Rejected
from shared.rejecting import rejected
from shared.runtime.inbox import Busy
from shared.stage import Record
from tests.kit.toy import T0


def said(name: str) -> Record:
    prediction = Prediction(
        id=name, time=T0, prediction=1, model="v1", features={}, feature_set="f"
    )
    return Record(PREDICTIONS, prediction)


def refused(value: bytes, check: str = "json", topic: str = "p.events") -> Record:
    raw = b64encode(value).decode()
    message = Rejected(reason="r", check=check, raw=raw, topic=topic, partition=0, offset=0)
    return Record(REJECTED, message)


NAMES = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["expect", "predict", "reject", "leave"]), NAMES), max_size=40
)


@given(steps=STEPS)
@example(steps=[("expect", "a"), ("expect", "a"), ("leave", "a")])
def test_against_the_obvious_version(steps: list[tuple[str, str]]) -> None:
    waiters = Waiters("p", remembered=2)
    known: list[str] = []
    open_names: dict[str, int] = {}
    tickets: list[tuple[str, Ticket]] = []
    for step, name in steps:
        value = name.encode()
        if step == "expect":
            ticket, fresh = waiters.expect(name, value)
            tickets.append((name, ticket))
            assert fresh == (name not in open_names and name not in known)
            assert ticket.answer.done() == (name not in open_names and name in known)
            if not ticket.answer.done():
                open_names[name] = open_names.get(name, 0) + 1
        elif step == "leave":
            mine = [t for n, t in tickets if n == name and not t.answer.done()]
            if mine and name in open_names:
                waiters.leave(mine[-1])
                tickets.remove((name, mine[-1]))
                open_names[name] -= 1
                if not open_names[name]:
                    del open_names[name]
        elif step == "predict" and name not in known:
            waiters.follow([said(name)])
            known = [*known, name][-2:]
            open_names.pop(name, None)
        elif step == "reject" and name not in known:
            waiters.follow([refused(value)])
            open_names.pop(name, None)
    assert waiters._open == len(open_names)
    assert all(its_own(name, ticket) for name, ticket in tickets if ticket.answer.done())


def its_own(name: str, ticket: Ticket) -> bool:
    answer: Any = ticket.answer.result()
    if isinstance(answer, Prediction):
        return answer.id == name
    return bool(answer.raw == b64encode(name.encode()).decode())


def test_events_with_the_same_bytes_are_refused_in_turn() -> None:
    waiters = Waiters("p")
    first, _ = waiters.expect("1", b"same")
    second, _ = waiters.expect("2", b"same")
    waiters.follow([refused(b"same")])
    assert (first.answer.done(), second.answer.done()) == (True, False)
    waiters.follow([refused(b"same", topic="p.labels")])
    assert not second.answer.done()
    waiters.follow([refused(b"same")])
    assert second.answer.done()


def test_large_events_are_known_by_their_digest() -> None:
    value = b"x" * 100_000
    waiters = Waiters("p")
    ticket, _ = waiters.expect(None, value)
    message = rejected(Record(EVENTS, value), "p", Reject("too large", "size"))
    waiters.follow([Record(REJECTED, message)])
    assert ticket.answer.result(0) is message


def test_it_is_bounded() -> None:
    waiters = Waiters("p", remembered=3, most=2)
    tickets = [waiters.expect(name, b"x")[0] for name in "ab"]
    with pytest.raises(Busy):
        waiters.expect("c", b"x")
    waiters.leave(tickets[0])
    waiters.expect("c", b"x")
    waiters.follow([said(str(n)) for n in range(10)])
    assert waiters.known("9")
    assert waiters.known("6") is None
