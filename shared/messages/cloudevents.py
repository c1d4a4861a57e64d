"""CloudEvents 1.0 (CNCF, 2019): what producers may wrap their events in, and how we mark outputs.

Read in the modes of the Kafka protocol binding 1.0: *structured* (the record's value is the whole
event, its header `content-type` begins with `application/cloudevents`) and *binary* (the value is the
data, the attributes are headers `ce_...`). A record with neither is taken as it is.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from shared.errors import Reject
from shared.messages.codec import no_key_twice
from shared.messages.streams import ALERTS, LABELS, PREDICTIONS, Stream
from shared.messages.types import Alert, Prediction

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
CONTENT_TYPE = "content-type"
TYPES = {PREDICTIONS: "headrace.prediction", ALERTS: "headrace.alert"}
"""`ce_type` of what goes out as CloudEvents."""

_FAMILY = b"application/cloudevents"
_CHECK = "cloudevent"
_VERSION = "1.0"
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_JSON = b"application/json"


class Attributes(msgspec.Struct, frozen=True, gc=False):
    """The context attributes that mean something to us."""

    id: str
    source: str
    type: str
    time: datetime | None = None
    subject: str | None = None


def opened(value: bytes, headers: Mapping[str, bytes] | None) -> tuple[bytes, Attributes | None]:
    """The data, and the attributes if the record is a CloudEvent.

    Raises:
        Reject: it says that it is one, but is not (`check` is `cloudevent`).
    """
    if not headers:
        return value, None
    kind = headers.get(CONTENT_TYPE, b"")
    if kind[: len(_FAMILY)].lower() == _FAMILY:
        return _structured(value, kind)
    given = {name[3:]: text for name, text in headers.items() if name.startswith("ce_")}
    if not given:
        return value, None
    _json_only(kind)
    return value, _attributes({name: _utf8(name, text) for name, text in given.items()})


def plain_label(value: bytes, headers: Mapping[str, bytes] | None) -> bytes:
    """A label as its JSON: of a CloudEvent the data, which is a label itself.

    What the data leaves out is taken from the attributes: `subject` for the id (of the labelled event;
    the attribute `id` names the message that carries the label), `time`, `source`.

    Raises:
        Reject: see `opened`; or the data is no JSON object.
    """
    data, attributes = opened(value, headers)
    if attributes is None:
        return value
    try:
        label = _members.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Reject(f"not a {LABELS} message: {error}", check="decode") from error
    found = {"id": attributes.subject, "time": attributes.time, "source": attributes.source}
    missing = {name: found[name] for name in found if name not in label and found[name]}
    return msgspec.json.encode({**label, **missing}) if missing else data


def cloud_headers(stream: Stream, message: Any, problem: str, offset: int) -> dict[str, bytes]:
    """The headers of an output in binary mode; empty for streams that go out without.

    `ce_id` names the record within `ce_source`: of a prediction the event's id; of an alert, which has
    a record for each change, the alert and the record's `offset`. `ce_time` is when it was said.
    """
    if stream is PREDICTIONS:
        said: Prediction = message
        name, at = said.id, said.scored_at or said.time
    elif stream is ALERTS:
        alert: Alert = message
        name, at = f"{alert.alert}/{offset}", alert.time
    else:
        return {}
    return {
        "ce_specversion": b"1.0",
        "ce_id": name.encode(),
        "ce_time": _time(at),
        **_constant(problem, stream),
    }


@lru_cache(maxsize=64)
def _constant(problem: str, stream: Stream) -> dict[str, bytes]:
    return {
        "ce_source": f"/headrace/{problem}".encode(),
        "ce_type": TYPES[stream].encode(),
        "content-type": _JSON,
        "schema": f"{stream}.schema.json".encode(),
    }


def _time(at: datetime) -> bytes:
    return msgspec.json.encode(at)[1:-1]


def _structured(value: bytes, kind: bytes) -> tuple[bytes, Attributes]:
    named = kind.partition(b";")[0].strip().lower().decode(errors="replace")
    if named != STRUCTURED:
        raise Reject(f"the content type {named} is not read; write {STRUCTURED}", _CHECK)
    try:
        members = _members.decode(value)
        json.loads(value, object_pairs_hook=no_key_twice)
    except RecursionError as error:
        raise Reject("the CloudEvent is nested too deep", _CHECK) from error
    except ValueError as error:  # of msgspec, and of Python's UTF-8 decoder
        raise Reject(f"the CloudEvent is no JSON object: {error}", _CHECK) from error
    if "data_base64" in members:
        raise Reject(
            "the CloudEvent holds binary data (`data_base64`); write the event as JSON in `data`",
            _CHECK, "data_base64",
        )  # fmt: skip
    texts: dict[str, str] = {}
    for name in ("specversion", "id", "source", "type", "time", "subject", "datacontenttype"):
        if name in members and bytes(members[name]) != b"null":
            texts[name] = _string(name, members[name])
    _json_only(texts.get("datacontenttype", "").encode())
    attributes = _attributes(texts)
    if "data" not in members:
        raise Reject("the CloudEvent has no `data`, which is the event itself", _CHECK, "data")
    return bytes(members["data"]), attributes


def _attributes(texts: Mapping[str, str]) -> Attributes:
    version = texts.get("specversion")
    if version is not None and version != _VERSION:
        text = f"the CloudEvent has specversion {version[:20]!r}; 1.0 is read"
        raise Reject(text, _CHECK, "specversion")
    for name in ("specversion", "id", "source", "type"):
        if not texts.get(name):
            raise Reject(f"the CloudEvent lacks `{name}`, which is required", _CHECK, name)
    return Attributes(
        texts["id"], texts["source"], texts["type"], _moment(texts.get("time")),
        texts.get("subject") or None,
    )  # fmt: skip


def _moment(text: str | None) -> datetime | None:
    """RFC 3339, which CloudEvents ask for: with a zone."""
    if text is None:
        return None
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        time = None
    if time is None or time.tzinfo is None:
        shown = f"the CloudEvent's time {text[:40]!r} is not RFC 3339; write 2026-01-31T12:00:00Z"
        raise Reject(shown, _CHECK, "time")
    return time


def _json_only(kind: bytes) -> None:
    named = kind.partition(b";")[0].strip().lower()
    if named and named not in (_JSON, b"text/json") and not named.endswith(b"+json"):
        text = f"the CloudEvent's data is {named.decode(errors='replace')[:60]}; JSON is read"
        raise Reject(text, _CHECK, "datacontenttype")


def _string(name: str, raw: msgspec.Raw) -> str:
    try:
        return _text.decode(raw)
    except ValueError as error:
        raise Reject(f"the CloudEvent's `{name}` is no text", _CHECK, name) from error


def _utf8(name: str, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise Reject(f"the header ce_{name} is not UTF-8 text", _CHECK, name) from error
