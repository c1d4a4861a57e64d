"""The usual event, decoded and checked in one pass: one decoder, made for the problem's own fields.

Types, bounds and categories are checked by msgspec while it decodes. An event passes here only where
`decode_event` and the field rules would give the same; whatever is odd (a field that is missing, one
more than declared, text for a number) is left to them, and so is every reason for a rejection.
"""

from collections.abc import Callable
from math import ceil, floor
from typing import Annotated, Any, Literal, TypedDict, cast

import msgspec

from shared.problem.scalars import scalar_text
from shared.problem.spec import Events, FieldSpec

_MOST = 2**62
"""Numbers beyond are left to `decode_event`, which knows what fits 64 bits."""
_NAME: Any = str | Annotated[int, msgspec.Meta(ge=-_MOST, le=_MOST)]
_TIME: Any = _NAME | Annotated[float, msgspec.Meta(ge=-_MOST, le=_MOST)]
_TEXTS = ("category", "text", "time")

Decode = Callable[[Any], dict[str, Any] | None]


def usual_decoder(events: Events) -> Decode:
    """A function from an event's bytes to its checked fields, or None: it is not usual."""
    types: dict[str, Any] = {}
    named = (events.id, events.key, events.environment)
    for role, kind in (*((name, _NAME) for name in named), (events.time, _TIME)):
        if role is not None and role not in events.fields:
            types[role] = kind
    loose = tuple(types)
    types |= {name: _type(spec) for name, spec in events.fields.items()}
    texts = sum(_is_text(spec) for spec in events.fields.values())
    decode = msgspec.json.Decoder(cast(Any, TypedDict)("Usual", types)).decode
    most_bytes, quotes = events.max_bytes, 2 * (len(types) + texts)

    def usual(raw: Any) -> dict[str, Any] | None:
        if raw.__class__ is not bytes or len(raw) > most_bytes:
            return None
        try:
            fields: dict[str, Any] = decode(raw)
        except (ValueError, RecursionError):
            return None
        # Two quotes for each key and each text: one more key, or one twice, would need more.
        expected = quotes
        for name in loose:
            if fields[name].__class__ is str:
                expected += 2
        return fields if raw.count(b'"') == expected else None

    return usual


def needs_rule(spec: FieldSpec) -> bool:
    """Whether a usual value still has to pass the field's rule."""
    return spec.type == "time" or spec.pattern is not None or _numbered(spec)


def _numbered(spec: FieldSpec) -> bool:
    return spec.type == "category" and spec.formula_kind != "text"


def _is_text(spec: FieldSpec) -> bool:
    return spec.type in _TEXTS and not _numbered(spec)


def _type(spec: FieldSpec) -> Any:
    if _is_text(spec):
        known = spec.type == "category" and spec.categories and spec.unseen == "reject"
        texts = tuple(scalar_text(value) for value in spec.categories or ())
        return Literal[texts] if known else str
    if spec.type == "boolean":
        kind: Any = bool
    elif _numbered(spec):
        kind = bool | Annotated[int, msgspec.Meta(ge=-_MOST, le=_MOST)]
    else:
        kind = _number(spec)
    return kind if spec.missing == "reject" else kind | None


def _number(spec: FieldSpec) -> Any:
    low, high = spec.range or (None, None)
    low = -_MOST if low is None else max(low, -_MOST)
    high = _MOST if high is None else min(high, _MOST)
    if spec.type == "integer":
        return Annotated[int, msgspec.Meta(ge=ceil(low), le=floor(high))]
    return Annotated[float, msgspec.Meta(ge=float(low), le=float(high))]
