"""Opening a model: size, digest, signature, and only then a decoder (DESIGN rule 6)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from shared.errors import UntrustedArtefact
from shared.registry.manifest import BlobRef, Manifest, read_manifest
from shared.registry.signing import Verifier

T = TypeVar("T")

ARTEFACT_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Expected:
    """What the caller knows of the model it asks for; None is not checked.

    `features`: the columns that it will be given, in order. `newer_than` is the version in use: an
    equal or older one is refused (an old signed model must not be slipped in as new), unless
    `rollback` says that going back is meant.
    """

    problem: str | None = None
    version: str | None = None
    features: tuple[str, ...] | None = None
    newer_than: str | None = None
    rollback: bool = False


ANY = Expected()


def verified(
    blob: bytes,
    signed: Mapping[str, Any],
    verifier: Verifier,
    expected: Expected = ANY,
    part: str = "artefact",
) -> bytes:
    """`blob`, cleared for decoding: it is the `part` that the signed manifest names.

    Raises:
        UntrustedArtefact: the first check that failed, in the order size, SHA-256, signature,
            identity; nothing of `blob` was decoded.
    """
    reference = _reference(signed, part)
    _check_size(blob, reference)
    if sha256(blob).hexdigest() != reference.digest:
        raise UntrustedArtefact(
            "the artefact's SHA-256 is not the one in its manifest: it is damaged or not this model's"
        )
    cleared(signed, verifier, expected)
    return blob


def cleared(signed: Mapping[str, Any], verifier: Verifier, expected: Expected = ANY) -> Manifest:
    """The manifest, once its signature and the identity that it claims are right.

    Raises:
        UntrustedArtefact: they are not.
    """
    verifier.check(signed)
    manifest = read_manifest(signed)
    _check_identity(manifest, expected)
    return manifest


def open_artefact(
    blob: bytes,
    signed: Mapping[str, Any],
    verifier: Verifier,
    decode: Callable[[bytes], T],
    expected: Expected = ANY,
) -> T:
    """`decode(blob)` once everything in `verified` holds.

    Raises:
        UntrustedArtefact: see `verified`; `decode` was not called.
    """
    return decode(verified(blob, signed, verifier, expected))


def version_number(version: str) -> int:
    """`v12` is 12.

    Raises:
        UntrustedArtefact: not of that form.
    """
    digits = version[1:]
    if version[:1] != "v" or not (digits.isascii() and digits.isdigit()):
        raise UntrustedArtefact(f"{version!r} is no version; versions are v1, v2, ...")
    return int(digits)


def _reference(signed: Mapping[str, Any], part: str) -> BlobRef:
    """The size and digest that the manifest claims, before anything in it is trusted."""
    manifest = read_manifest(signed)
    reference: BlobRef | None = getattr(manifest, part)
    if reference is None:
        raise UntrustedArtefact(f"the manifest of {manifest.version} names no {part}")
    return reference


def _check_size(blob: bytes, reference: BlobRef) -> None:
    if len(blob) > ARTEFACT_LIMIT_BYTES:
        raise UntrustedArtefact(
            f"the artefact has {len(blob):,} bytes, {ARTEFACT_LIMIT_BYTES:,} are allowed"
        )
    if len(blob) != reference.size_bytes:
        raise UntrustedArtefact(
            f"the artefact has {len(blob):,} bytes, its manifest says {reference.size_bytes:,}"
        )


def _check_identity(manifest: Manifest, expected: Expected) -> None:
    if expected.problem is not None and manifest.problem != expected.problem:
        raise UntrustedArtefact(
            f"this model was made for the problem {manifest.problem}, not {expected.problem}"
        )
    if expected.version is not None and manifest.version != expected.version:
        raise UntrustedArtefact(f"this is {manifest.version}, not {expected.version}")
    if expected.features is not None and tuple(manifest.features) != expected.features:
        raise UntrustedArtefact(
            f"{manifest.version} was made for other features ({len(manifest.features)} against "
            f"{len(expected.features)} here): the problem file changed; train it again"
        )
    if expected.newer_than is None or expected.rollback:
        return
    if version_number(manifest.version) <= version_number(expected.newer_than):
        raise UntrustedArtefact(
            f"{manifest.version} is not newer than {expected.newer_than}; "
            "only a rollback may go back to an older version"
        )
