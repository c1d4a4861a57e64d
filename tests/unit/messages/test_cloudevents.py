"""CloudEvents in both modes, against the CNCF's own SDK."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_binary_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from services.joiner.core import Joiner
from services.validator.core import Validator
from shared.errors import Reject
from shared.messages.cloudevents import STRUCTURED, cloud_headers, opened, plain_label
from shared.messages.streams import (
    ALERTS,
    EVENTS,
    LABELS,
    OUTCOMES,
    PREDICTIONS,
    REJECTED,
    Stream,
)
from shared.messages.types import Alert, Prediction, Rejected, Valid
from shared.stage import Record
from tests.kit.serving import small_problem

T0 = datetime(2026, 1, 31, 12, tzinfo=UTC)
_TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=20
)
_TIMES = st.datetimes(
    datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.sampled_from(
        [UTC, timezone(timedelta(hours=-7)), timezone(timedelta(hours=5, minutes=30))]
    ),
)  # fmt: skip
_ATTRIBUTES = st.fixed_dictionaries(
    {"id": _TEXTS, "source": _TEXTS, "type": _TEXTS, "time": _TIMES},  # the SDK sets a time itself
    optional={"subject": _TEXTS},
)
_DATA = st.dictionaries(_TEXTS, st.integers(-5, 5) | _TEXTS | st.booleans(), max_size=4)


def sent(attributes: dict[str, Any], data: Any, binary: bool) -> tuple[bytes, dict[str, bytes]]:
    """What a producer with the SDK puts on Kafka."""
    event = CloudEvent(
        {"datacontenttype": "application/json", "specversion": "1.0", **attributes}, data
    )
    message = to_binary_event(event) if binary else to_structured_event(event)
    return message.value, {name: bytes(value) for name, value in message.headers.items()}


@given(attributes=_ATTRIBUTES, data=_DATA, binary=st.booleans())
def test_what_the_sdk_sends_is_understood(
    attributes: dict[str, Any], data: dict[str, Any], binary: bool
) -> None:
    value, found = opened(*sent(attributes, data, binary))
    assert found is not None
    assert json.loads(value) == data
    expected = {"subject": None, **attributes}
    assert {name: getattr(found, name) for name in expected} == expected


def prediction(**more: Any) -> Prediction:
    return Prediction(
        id="é 1", time=T0, prediction=1, model="v1", features={}, feature_set="f", **more
    )


def test_predictions_and_alerts_are_events_for_the_sdk() -> None:
    alert = Alert(
        alert="a1", kind="k", cause="silence", severity="page", state="open", since=T0, time=T0,
        series="s",
    )  # fmt: skip
    scored_at = T0 + timedelta(seconds=3)
    cases: list[tuple[Stream, Any, str, datetime]] = [
        (PREDICTIONS, prediction(scored_at=scored_at), "é 1", scored_at),
        (PREDICTIONS, prediction(), "é 1", T0),
        (ALERTS, alert, "a1/7", T0),
    ]
    for stream, message, name, at in cases:
        headers = cloud_headers(stream, message, "shop", 7)
        value = msgspec.json.encode(message)
        event = from_binary_event(KafkaMessage(headers=headers, key=None, value=value))
        attributes = event.get_attributes()
        assert attributes["id"] == name
        assert attributes["source"] == "/headrace/shop"
        assert attributes["type"] == f"headrace.{str(stream).removesuffix('s')}"
        assert attributes["time"] == at
        assert attributes["datacontenttype"] == "application/json"
        assert headers["schema"] == f"{stream}.schema.json".encode()
        assert event.get_data() == json.loads(value)
        back, _ = opened(value, headers)
        assert back == value
    assert cloud_headers(OUTCOMES, prediction(), "shop", 7) == {}


def test_other_records_are_left_as_they_are() -> None:
    for headers in (None, {}, {"traceparent": b"x"}, {"content-type": b"application/json"}):
        assert opened(b"no json", headers) == (b"no json", None)


WHOLE = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"a": 1}}
KIND = {"content-type": STRUCTURED.encode()}
BROKEN: list[tuple[Any, dict[str, bytes], str, str | None]] = [
    ({**WHOLE, "specversion": "0.3"}, KIND, "specversion '0.3'; 1.0 is read", "specversion"),
    *(
        ({k: v for k, v in WHOLE.items() if k != name}, KIND, f"lacks `{name}`", name)
        for name in ("specversion", "id", "source", "type")
    ),
    ({**WHOLE, "id": ""}, KIND, "lacks `id`", "id"),
    ({**WHOLE, "id": 7}, KIND, "`id` is no text", "id"),
    ({**WHOLE, "time": "2026-01-31T12:00:00"}, KIND, "not RFC 3339", "time"),
    ({**WHOLE, "time": "yesterday"}, KIND, "not RFC 3339", "time"),
    ({**WHOLE, "data_base64": "e30="}, KIND, "binary data", "data_base64"),
    ({k: v for k, v in WHOLE.items() if k != "data"}, KIND, "no `data`", "data"),
    ({**WHOLE, "datacontenttype": "text/xml"}, KIND, "is text/xml; JSON is read", "datacontenttype"),
    ([WHOLE], KIND, "no JSON object", None),
    (b"{", KIND, "no JSON object", None),
    (b'{"id": "\xff"}', KIND, "no JSON object", None),
    (WHOLE, {"content-type": b"application/cloudevents+avro"}, "is not read", None),
    ([WHOLE], {"content-type": b"application/cloudevents-batch+json"}, "is not read", None),
    (WHOLE, {"ce_id": b"1", "ce_source": b"s"}, "lacks `specversion`", "specversion"),
    ({"a": 1}, {"ce_specversion": b"1.0", "ce_id": b"\xff"}, "not UTF-8", "id"),
    (b"x", {"ce_id": b"1", "content-type": b"image/png"}, "JSON is read", "datacontenttype"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "headers", "text", "field"), BROKEN)
def test_what_is_broken_is_rejected_with_the_reason(
    value: Any, headers: dict[str, bytes], text: str, field: str | None
) -> None:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(Reject) as why:
        opened(raw, headers)
    assert text in why.value.reason
    assert (why.value.check, why.value.field) == ("cloudevent", field)


def test_a_key_that_stands_twice_is_rejected() -> None:
    raw = json.dumps(WHOLE).encode().replace(b'"id": "1"', b'"id": "1", "id": "2"')
    with pytest.raises(Reject, match='"id" stands twice'):
        opened(raw, KIND)


@given(raw=st.binary(max_size=60), kind=st.sampled_from([b"application/cloudevents+json", b"x/y"]))
def test_whatever_comes_it_is_taken_or_rejected(raw: bytes, kind: bytes) -> None:
    try:
        value, _ = opened(raw, {"content-type": kind, "ce_id": raw})
    except Reject:
        return
    assert isinstance(value, bytes)


def folded(problem: Any, *records: tuple[bytes, dict[str, bytes]]) -> list[Any]:
    stage = Validator(problem)
    rows = [
        Record(EVENTS, value, None, 0, offset, offset, 1_700_000_000_000, headers)
        for offset, (value, headers) in enumerate(records)
    ]
    return [out.value for out in stage.handle(rows)]


@pytest.mark.parametrize("binary", [True, False])
def test_attributes_stand_in_where_nothing_is_mapped(binary: bool) -> None:
    attributes = {"id": "c1", "source": "/s", "type": "t", "subject": "who", "time": T0}
    record = sent(attributes, {"a": 1, "b": 2}, binary)
    bare, again = folded(small_problem(id=None, time=None), record, record)
    assert isinstance(bare, Valid)
    assert (bare.id, bare.time, bare.key) == ("c1", T0, "who")
    assert isinstance(again, Rejected)
    assert again.check == "duplicate"
    data = {"id": "mine", "at": "2025-01-01T00:00:00Z", "k": "key", "a": 1, "b": 2}
    fields = {"a": {"type": "number"}, "b": {"type": "number"}, "k": {"type": "text"}}
    mapped = small_problem(key="k", fields=fields)
    (own,) = folded(mapped, sent(attributes, data, binary))
    assert isinstance(own, Valid)
    assert (own.id, own.time, own.key) == ("mine", datetime(2025, 1, 1, tzinfo=UTC), "key")


def test_time_may_not_go_back_and_names_may_not_be_long() -> None:
    first = {"id": "c1", "source": "/s", "type": "t", "time": T0}
    back = {**first, "id": "c2", "time": T0 - timedelta(minutes=1)}
    long = {**first, "id": "x" * 300}
    problem = small_problem(id=None, time=None)
    found = folded(problem, *(sent(a, {"a": 1, "b": 2}, True) for a in (first, back, long)))
    assert isinstance(found[0], Valid)
    assert [row.check for row in found[1:]] == ["backwards", "id"]
    assert "ce_time is 2026-01-31T11:59:00Z" in found[1].reason


@pytest.mark.parametrize("binary", [True, False])
def test_a_label_takes_from_the_attributes_what_it_leaves_out(binary: bool) -> None:
    attributes = {"id": "l9", "source": "/lab", "type": "t", "subject": "e1", "time": T0}
    plain = json.loads(plain_label(*sent(attributes, {"label": 1}, binary)))
    assert plain == {"id": "e1", "label": 1, "time": "2026-01-31T12:00:00Z", "source": "/lab"}
    own = {"id": "e2", "label": 0, "time": "2025-01-01T00:00:00Z", "source": "me"}
    assert json.loads(plain_label(*sent(attributes, own, binary))) == own
    assert plain_label(b"x", {"traceparent": b""}) == b"x"


@pytest.mark.parametrize("binary", [True, False])
def test_the_joiner_joins_labels_that_are_cloud_events(binary: bool) -> None:
    joiner = Joiner(small_problem())
    early = sent({"id": "l1", "source": "/l", "type": "t", "subject": "e1"}, {"label": 1}, binary)
    broken = (early[0], {**early[1], "ce_specversion": b"9"}) if binary else (b"{", early[1])
    label = Record(LABELS, early[0], None, 0, 0, 1, 0, early[1])
    said = prediction()
    said.id = "e1"
    wrong = Record(LABELS, broken[0], None, 0, 1, 3, 0, broken[1])
    outs = list(joiner.handle([label, Record(PREDICTIONS, said, seq=2), wrong]))
    assert [out.stream for out in outs] == [OUTCOMES, REJECTED]
    assert (outs[0].value.id, outs[0].value.label) == ("e1", 1)
    assert outs[1].value.check == "cloudevent"
