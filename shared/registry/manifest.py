"""The manifest: who a model is, what made it, and the exact bytes it consists of.

A manifest travels as a plain JSON object (in `ModelEvent.manifest`, in an export). What is signed are
its *canonical* bytes: keys sorted, no white space, UTF-8, no NaN (in the spirit of RFC 8785), so that
one content has one byte form, and a changed byte is a changed content or no canonical form at all.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NoReturn

import msgspec

from shared.errors import UntrustedArtefact
from shared.messages.types import Value

MANIFEST_LIMIT_BYTES = 262_144
SIGNATURE = "signature"
"""The one key of a signed manifest that is not part of what is signed."""


class BlobRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A blob by its SHA-256 (hex) and size."""

    digest: str
    size_bytes: int

    @classmethod
    def of(cls, data: bytes) -> "BlobRef":
        """The reference of `data`."""
        return cls(sha256(data).hexdigest(), len(data))


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything needed to trust a model, and to make it again.

    `artefact` holds the served arrays; `estimator` the fitted library object, for export only.
    `start`/`end` are offsets of `outcomes` (end excluded); `selection` says which of those rows were
    used and how; `code` is the digest of the training source. `profile`: what the rows looked like that
    it was trained on (`shared/features/profile/reference.py`).
    """

    problem: str
    version: str
    parent: str | None
    kind: str
    artefact: BlobRef
    estimator: BlobRef | None = None
    feature_set: str
    features: list[str]
    classes: list[Value]
    start: int
    end: int
    selection: dict[str, Any]
    seeds: dict[str, int]
    libraries: dict[str, str]
    code: str
    metrics: dict[str, float]
    profile: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, as they travel."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def canonical(content: Mapping[str, Any]) -> bytes:
    """The one byte form of a JSON object.

    Raises:
        ValueError: it holds NaN, an infinity, or text that is no Unicode.
        TypeError: it holds something that JSON cannot.
    """
    text = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def unsigned(signed: Mapping[str, Any]) -> dict[str, Any]:
    """What the signature covers."""
    return {key: value for key, value in signed.items() if key != SIGNATURE}


def read_manifest(signed: Mapping[str, Any]) -> Manifest:
    """The typed manifest.

    Raises:
        UntrustedArtefact: fields are missing, unknown, or of the wrong type.
    """
    try:
        return msgspec.convert(unsigned(signed), Manifest)
    except msgspec.ValidationError as error:
        raise UntrustedArtefact(f"this is no model manifest: {error}") from error


def parse_signed(data: bytes) -> dict[str, Any]:
    """A signed manifest from its canonical bytes (an exported file).

    Raises:
        UntrustedArtefact: too long, no JSON object, or not in canonical form.
    """
    if len(data) > MANIFEST_LIMIT_BYTES:
        raise UntrustedArtefact(
            f"the manifest has {len(data):,} bytes, {MANIFEST_LIMIT_BYTES:,} are allowed"
        )
    try:
        content = json.loads(data, parse_constant=_no_constant)
        if isinstance(content, dict) and canonical(content) == data:
            return content
    except (ValueError, RecursionError) as error:
        raise UntrustedArtefact(f"the manifest is no JSON: {error}") from error
    raise UntrustedArtefact("the manifest is not in canonical form: it was changed after signing")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
