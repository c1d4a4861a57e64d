"""From a producer's bytes to a JSON object that every reader understands the same way.

Refused (RFC 8259 leaves them open, or forbids them): duplicate keys, NaN and infinities, numbers
that do not fit 64 bits, text that is not Unicode, nesting beyond `MAX_DEPTH`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from shared.errors import Reject
from shared.messages.codec import no_key_twice

MAX_DEPTH = 32
_decode = msgspec.json.Decoder().decode
_PLAIN = frozenset({str, float, bool, type(None)})
_NOT_JSON = re.compile(rb"[:,\[]\s*([-+]?(?:NaN|nan|Infinity|inf))\b")
_HALF_PAIR = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|[c-fC-F][0-9a-fA-F]{2})"
)
_TYPES: Mapping[type, str] = {
    list: "a list",
    str: "text",
    bool: "true or false",
    type(None): "null",
}


def decode_event(raw: Any, most_bytes: int) -> dict[str, Any]:
    """The object in `raw`.

    Raises:
        Reject: there is none; `check` is one of size, json, duplicate_key, number, depth.
    """
    if not isinstance(raw, bytes):
        raise _empty()
    if len(raw) > most_bytes:
        raise Reject(
            f"the event has {len(raw):,} bytes; events.max_bytes allows {most_bytes:,}", "size"
        )
    try:
        event = _decode(raw)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:  # of msgspec, and of Python's UTF-8 decoder
        raise _explained(raw, error) from error
    if event.__class__ is not dict:
        kind = _TYPES.get(type(event), "a number")
        raise Reject(f"the event is {kind}; a JSON object is expected", "json")
    kinds = list(map(type, event.values()))
    nested = False
    if not _PLAIN.issuperset(kinds):
        _bounded(event.values(), 2)
        nested = dict in kinds or list in kinds
    # Two quotes for each key and each text, more where a quote is escaped or a key was overwritten:
    # only then, and in nested events, a closer look is needed.
    if nested or raw.count(b'"') != 2 * (len(event) + kinds.count(str)):
        _unique(raw)
    return event


def _explained(raw: bytes, error: ValueError) -> Reject:
    if not raw.strip(b" \t\r\n"):
        return _empty()
    if isinstance(error, UnicodeDecodeError):
        return Reject(f"the event is not UTF-8 text: {error.reason}", "json")
    if isinstance(error, msgspec.ValidationError):
        return Reject("a number in the event is too large for 64 bits", "number")
    if found := _NOT_JSON.search(raw):
        token = found[1].decode()
        return Reject(f"{token} is not JSON; write null for a number that is missing", "json")
    if found := _HALF_PAIR.search(raw):
        text = f"{found[0].decode()} is half of a surrogate pair, which is no character"
        return Reject(f"the event is not JSON: {text}", "json")
    if "truncated" in str(error):
        return Reject("the event breaks off in the middle of its JSON", "json")
    return Reject(f"the event is not JSON: {error}", "json")


def _bounded(values: Iterable[Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _too_deep()
    for value in values:
        kind = value.__class__
        if kind is int and not -(2**63) <= value < 2**64:
            raise Reject("a number in the event is too large for 64 bits", "number")
        if kind is dict:
            _bounded(value.values(), depth + 1)
        elif kind is list:
            _bounded(value, depth + 1)


def _unique(raw: bytes) -> None:
    try:
        json.loads(raw.decode(), object_pairs_hook=no_key_twice)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise _explained(raw, error) from error


def _empty() -> Reject:
    return Reject("the event is empty; a JSON object is expected", "json")


def _too_deep() -> Reject:
    return Reject(f"the event is nested more than {MAX_DEPTH} levels deep", "depth")
