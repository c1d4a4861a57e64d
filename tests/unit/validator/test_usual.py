"""The decoder made for the problem says of no event anything else than the rules do."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.validator.core import Validator
from services.validator.usual import usual_decoder
from shared.problem.spec import Problem
from tests.unit.validator.events import problem, record

SPEC: dict[str, Any] = {
    "region": {"type": "category", "categories": ["NSW", "VIC", 3]},
    "hue": {"type": "category", "categories": ["red"], "unseen": "other"},
    "class": {"type": "category", "categories": [1, 2.0, True]},
    "price": {"type": "number", "range": [0, 1], "missing": "reject"},
    "size": {"type": "number"},
    "seats": {"type": "integer", "range": [-0.5, None]},
    "paid": {"type": "boolean"},
    "note": {"type": "text", "pattern": "[a-z]+"},
    "ended": {"type": "time", "coerce": True},
}
USUAL: dict[str, Any] = {
    "id": "e1", "at": "2024-01-01T00:00:00Z", "region": "NSW", "hue": "blue", "class": 1,
    "price": 0.5, "size": None, "seats": 3, "paid": True, "note": "abc", "ended": "2024-01-01",
}  # fmt: skip
odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(),
    st.sampled_from([
        "NSW", "3", "1", "abc", "A", "", 'a"b', "\n", "é", 1.0, 3.0, -0.0, 1e400, 2**62, 2**63, 2**64,
        -(2**63) - 1, 2**70, 1.8e19, [], {}, [1], {"a": 1}, 1_700_000_000, "2024-01-01T00:00:00+01:00",
    ]),
)  # fmt: skip
rows = st.lists(
    st.tuples(st.sampled_from([*USUAL, "extra", '"', "pri\\u0063e"]), odd), max_size=3
).map(lambda some: [*USUAL.items(), *some])


def written(pairs: list[tuple[str, Any]], once: bool) -> bytes:
    """JSON; a key that comes again takes the earlier one's place, or (`once` false) stands twice."""
    if once:
        return json.dumps(dict(pairs)).encode()
    return (
        "{" + ", ".join(f'"{name}" : {json.dumps(value)}' for name, value in pairs) + "}"
    ).encode()


def spec(of_any: bool) -> Problem:
    return problem(SPEC, key="region" if of_any else "hue")


@settings(max_examples=250, deadline=None)
@given(rows, st.booleans(), st.booleans(), st.sampled_from([b"", b" ", b"}", b"\xff"]))
def test_as_the_rules_say(
    pairs: list[tuple[str, Any]], once: bool, of_any: bool, end: bytes
) -> None:
    raw = written(pairs, once) + end
    fast, slow = Validator(spec(of_any)), Validator(spec(of_any))
    slow._usual = lambda raw: None
    (found,), (expected,) = fast.handle([record(raw)]), slow.handle([record(raw)])
    assert found.stream == expected.stream
    assert repr(found.value) == repr(expected.value)


def test_the_usual_event_is_decoded_at_once() -> None:
    usual = usual_decoder(spec(True).events)
    assert usual(json.dumps(USUAL).encode()) == USUAL
    assert usual(json.dumps(USUAL | {"id": 7, "at": 1.5e9}).encode()) is not None
    assert usual(json.dumps(USUAL | {"more": 1}).encode()) is None
    assert usual(json.dumps(USUAL)[:-1].encode() + b', "price": 0.5}') is None
