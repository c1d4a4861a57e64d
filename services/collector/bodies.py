"""What producers put into a request: one JSON document, an array of them, or JSON lines."""

from collections.abc import Sequence
from typing import Any

import msgspec

from services.collector.sources.row import text_of
from shared.errors import Reject
from shared.messages.codec import decode
from shared.messages.streams import LABELS
from shared.problem.spec import Problem

LINE_TYPES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")

_array = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_document = msgspec.json.Decoder(msgspec.Raw)


def split(body: bytes, content_type: str = "") -> list[bytes]:
    """The documents in `body`, each as its own bytes; a broken one is a document too.

    Lines are split when `content_type` says so, or when `body` is neither a JSON array nor one JSON
    document. An array that does not parse as a whole is taken by lines as well: where it ends nobody
    can know. Blank lines are no documents.
    """
    body = body.strip()
    if content_type.partition(";")[0].strip().lower() not in LINE_TYPES:
        try:
            if body.startswith(b"["):
                return [bytes(item) for item in _array.decode(body)]
            return [bytes(_document.decode(body))]
        except (msgspec.DecodeError, RecursionError):
            pass
    return [line for line in map(bytes.strip, body.split(b"\n")) if line]


def event_key(event: bytes, problem: Problem) -> str | None:
    """The entity key of an event, else its id, as the problem file maps them; None: neither."""
    try:
        members = _members.decode(event)
    except (msgspec.DecodeError, RecursionError):
        return None
    for name in (problem.events.key, problem.events.id):
        if name is not None and name in members and (text := _text(members[name])) is not None:
            return text
    return None


def label_ids(labels: Sequence[bytes]) -> list[str]:
    """The id of each label.

    Raises:
        Reject: one of them is no label; nothing of the request may be used then, so that the
            producer can mend it and send it again.
    """
    ids = []
    for number, label in enumerate(labels, start=1):
        try:
            ids.append(decode(LABELS, label).id)
        except Reject as why:
            shown = label[:80].decode(errors="replace")
            raise Reject(
                f"label {number} of {len(labels)} cannot be used: {why.reason}. It begins {shown!r}. "
                'Write {"id": "the event\'s id", "label": value}. None of this request was taken.',
                check="decode",
            ) from why
    return ids


def _text(raw: msgspec.Raw) -> str | None:
    try:
        value: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    return text_of(value)
