"""Bytes to messages and back, one JSON codec per stream (RFC 8259; JSON Schema 2020-12)."""

from typing import Any

import msgspec

from shared.errors import Reject
from shared.messages import streams, types
from shared.messages.streams import Stream

MESSAGES: dict[Stream, type[msgspec.Struct]] = {
    streams.LABELS: types.Label,
    streams.REFERENCES: types.Reference,
    streams.LABEL_REQUESTS: types.LabelRequest,
    streams.VALID: types.Valid,
    streams.FEATURES: types.Features,
    streams.PREDICTIONS: types.Prediction,
    streams.OUTCOMES: types.Outcome,
    streams.REJECTED: types.Rejected,
    streams.AUDITS: types.Audit,
    streams.ALERTS: types.Alert,
    streams.JOBS: types.Job,
    streams.MODELS: types.ModelEvent,
    streams.CONTROL: types.Control,
}
"""The class of each stream's values; `events` carries whatever JSON the producer has."""

_encode = msgspec.json.Encoder().encode
_decoders = {stream: msgspec.json.Decoder(cls) for stream, cls in MESSAGES.items()}


def encode(value: Any) -> bytes:
    """A message as JSON bytes; raw bytes pass through."""
    return value if isinstance(value, bytes) else _encode(value)


def decode(stream: Stream, data: bytes) -> Any:
    """The message in `data`.

    Raises:
        Reject: `data` is no JSON, or not a message of this stream.
    """
    try:
        return _decoders[stream].decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Reject(f"not a {stream} message: {error}", check="decode") from error


def no_key_twice(pairs: list[tuple[str, Any]]) -> None:
    """An `object_pairs_hook` for `json.loads`; RFC 8259 leaves open which of two equal keys counts.

    Raises:
        Reject: a key stands twice in the object.
    """
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise Reject(
            f'the key "{name[:60]}" stands twice in one object', "duplicate_key", name[:60]
        )


def json_schemas() -> dict[str, Any]:
    """JSON Schema (2020-12) of every stream's message, by stream name."""
    schemas = {}
    for stream, cls in MESSAGES.items():
        (reference,), components = msgspec.json.schema_components(
            [cls], ref_template="#/$defs/{name}"
        )
        schemas[str(stream)] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **reference,
            "$defs": components,
        }
    return schemas
