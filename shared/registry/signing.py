"""Ed25519 over manifests (RFC 8032): who can verify cannot sign.

A key is named by the first 16 hex digits of the SHA-256 of its raw public bytes. Signatures are
deterministic, so a replay signs the same manifest to the same bytes.
"""

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from shared.errors import Fatal, UntrustedArtefact
from shared.registry.manifest import MANIFEST_LIMIT_BYTES, SIGNATURE, canonical, unsigned

_DOMAIN = b"headrace model manifest v1\n"
"""Signed together with the content: such a signature means nothing anywhere else."""
_KEY_ID_DIGITS = 16
_SIGNATURE_BYTES = 64


def generate_key() -> bytes:
    """A new private key as PEM (PKCS 8, unencrypted): store it readable by its owner only."""
    return Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def key_id(public: bytes) -> str:
    """The name of a raw public key (32 bytes)."""
    return sha256(public).hexdigest()[:_KEY_ID_DIGITS]


def public_from_pem(pem: bytes) -> bytes:
    """The raw public key in a PEM file (SubjectPublicKeyInfo).

    Raises:
        Fatal: it holds no Ed25519 public key.
    """
    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise Fatal(f"this is no public key in PEM form: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise Fatal("the public key is not an Ed25519 key; make one with `generate_key`")
    return key.public_bytes_raw()


def public_keys(bundle: bytes) -> list[bytes]:
    """The raw public keys of a file of several PEM blocks, one after another.

    Raises:
        Fatal: a block holds no Ed25519 public key, or there is none.
    """
    end = b"-----END PUBLIC KEY-----"
    blocks = [block + end for block in bundle.split(end)[:-1]]
    if not blocks:
        raise Fatal(
            "the file of trusted keys (HEADRACE_TRUSTED_KEYS) holds no public key in PEM form; "
            "`openssl pkey -in signing.pem -pubout` writes one"
        )
    return [public_from_pem(block.strip()) for block in blocks]


class Signer:
    """Holds the private key.

    Raises:
        Fatal: `pem` is no Ed25519 private key.
    """

    def __init__(self, pem: bytes) -> None:
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise Fatal(
                f"the signing key cannot be read ({error}); it must be an unencrypted PEM file "
                "with an Ed25519 private key, as `generate_key` makes it"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Fatal("the signing key is not an Ed25519 key; make one with `generate_key`")
        self._key = key
        self.public = key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public)

    @property
    def public_pem(self) -> bytes:
        """The public key for those who verify."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """The manifest with its signature (an earlier one is replaced)."""
        content = unsigned(manifest)
        value = self._key.sign(_DOMAIN + canonical(content)).hex()
        return {**content, SIGNATURE: {"key": self.key_id, "value": value}}


class Verifier:
    """Knows public keys (raw, 32 bytes each) and which of them are no longer trusted (key ids)."""

    def __init__(self, trusted: Iterable[bytes], revoked: Collection[str] = ()) -> None:
        self._keys = {key_id(raw): Ed25519PublicKey.from_public_bytes(raw) for raw in trusted}
        self._revoked = frozenset(revoked)

    def check(self, signed: Mapping[str, Any]) -> None:
        """Nothing happens when a trusted key signed exactly this content.

        Raises:
            UntrustedArtefact: no signature, a malformed one, an unknown or revoked key, or a
                signature of something else.
        """
        name, value = _signature(signed)
        if name in self._revoked:
            raise UntrustedArtefact(f"the signing key {name} was revoked; train the model again")
        key = self._keys.get(name)
        if key is None:
            known = ", ".join(sorted(self._keys)) or "none"
            raise UntrustedArtefact(f"signed by the unknown key {name!r}; trusted: {known}")
        try:
            content = canonical(unsigned(signed))
            if len(content) > MANIFEST_LIMIT_BYTES:
                raise UntrustedArtefact(f"the manifest has {len(content):,} bytes")
            key.verify(value, _DOMAIN + content)
        except (InvalidSignature, ValueError, TypeError, RecursionError) as error:
            raise UntrustedArtefact("the manifest was changed after it was signed") from error


def _signature(signed: Mapping[str, Any]) -> tuple[str, bytes]:
    """Key id and raw signature; exactly one written form is accepted."""
    part = signed.get(SIGNATURE)
    if part is None:
        raise UntrustedArtefact("the manifest is not signed")
    if isinstance(part, Mapping) and set(part) == {"key", "value"}:
        name, text = part["key"], part["value"]
        if isinstance(name, str) and isinstance(text, str):
            raw = _from_hex(text)
            if len(raw) == _SIGNATURE_BYTES and raw.hex() == text:
                return name, raw
    raise UntrustedArtefact("the manifest's signature is malformed")


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
