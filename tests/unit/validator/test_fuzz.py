"""Whatever bytes come in: valid or rejected, never an exception; a key twice is always seen."""

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.validator.core import Validator
from services.validator.decoding import decode_event
from shared.errors import Reject
from shared.messages.codec import decode, encode
from shared.messages.streams import REJECTED, VALID
from tests.unit.validator.events import FIELDS, GOOD, problem, record

near = st.builds(
    lambda fields, cut, noise: (
        json.dumps(GOOD | fields).encode()[: cut if cut >= 0 else None] + noise
    ),
    st.dictionaries(
        st.sampled_from([*GOOD, *FIELDS, "extra", '"', "\\"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner)
            ),
            max_leaves=4,
        ),
        max_size=4,
    ),
    st.sampled_from([-1, -1, -1, 20, 60]),
    st.sampled_from([b"", b"", b"}", b" ", b"\x00", b"\xff"]),
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=40), near, near, near))
def test_any_bytes_are_valid_or_rejected(value: bytes) -> None:
    spec = problem(checks=[{"name": "c", "expression": "price < 0.9 or paid"}])
    stage = Validator(spec)
    (out,) = stage.handle([record(value)])
    assert out.stream in (VALID, REJECTED)
    assert decode(out.stream, encode(out.value)) == out.value
    if out.stream is VALID:
        assert json.loads(value)["id"] is not None


pairs = st.recursive(
    st.one_of(st.integers(-9, 9), st.sampled_from([":", '"', "a", "\\", "}", " :", "ü"])),
    lambda inner: st.lists(st.tuples(st.sampled_from("ab:"), inner), max_size=3).map(tuple),
    max_leaves=6,
)


def written(value: Any) -> str:
    """JSON with keys as often as they are given, and odd spaces."""
    if isinstance(value, tuple):
        return "{" + " , ".join(f'"{key}" :{written(inner)}' for key, inner in value) + "}"
    return json.dumps(value, ensure_ascii=value == "ü")


def doubled(value: Any) -> bool:
    if not isinstance(value, tuple):
        return False
    keys = [key for key, _ in value]
    return len(set(keys)) < len(keys) or any(doubled(inner) for _, inner in value)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab:"), pairs), max_size=4).map(tuple))
def test_duplicate_keys_are_always_seen(value: Any) -> None:
    text = written(value).encode()
    try:
        event = decode_event(text, 10_000)
    except Reject as why:
        assert why.check == "duplicate_key" and doubled(value)
    else:
        assert not doubled(value) and event == msgspec.json.decode(text)
