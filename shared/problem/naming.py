"""What an input is called before it is checked: an event's id and key, as the validator will read
them; a reference's key on its topic.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from shared.errors import Reject
from shared.messages.cloudevents import Attributes, opened
from shared.problem.scalars import scalar_text
from shared.problem.spec import Problem

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def event_id(value: bytes, headers: Mapping[str, bytes] | None, problem: Problem) -> str | None:
    """The id that the event brings along; None: it brings none, or is no event."""
    members, attributes = _looked_into(value, headers)
    if problem.events.id is not None:
        return _text(members, problem.events.id)
    return attributes.id if attributes else None


def event_key(value: bytes, headers: Mapping[str, bytes] | None, problem: Problem) -> str | None:
    """What decides on the event's partition: its entity key, else its id; None: neither."""
    members, attributes = _looked_into(value, headers)
    if attributes:
        key = attributes.subject if problem.events.key is None else None
        name = attributes.id if problem.events.id is None else None
    else:
        key = name = None
    return _text(members, problem.events.key) or key or _text(members, problem.events.id) or name


def reference_key(value: bytes) -> str:
    """By what Kafka's compaction tells a reference from others: `table/key/time`.

    So of two records of one version the later one is kept, and no version goes. What is no reference
    has a key of its own: a compacted topic takes no record without one.
    """
    members, _ = _looked_into(value, None)
    table, key = _text(members, "reference"), _text(members, "key")
    if table is None or key is None:
        return f"?/{blake2b(value, digest_size=16).hexdigest()}"
    return f"{table}/{key}/{_text(members, 'time') or ''}"


def _looked_into(
    value: bytes, headers: Mapping[str, bytes] | None
) -> tuple[dict[str, msgspec.Raw], Attributes | None]:
    try:
        data, attributes = opened(value, headers)
        return _members.decode(data), attributes
    except (Reject, ValueError, RecursionError):  # the validator says why
        return {}, None


def _text(members: Mapping[str, msgspec.Raw], field: str | None) -> str | None:
    if field is None or field not in members:
        return None
    try:
        value: Any = msgspec.json.decode(members[field])
    except (ValueError, RecursionError):
        return None
    if isinstance(value, bool | int | float):
        return scalar_text(value)
    return value if isinstance(value, str) else None
