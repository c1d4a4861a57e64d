"""What an event is called before it is checked: its id and its key, as the validator will read them."""

from collections.abc import Mapping
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
