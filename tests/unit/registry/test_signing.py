"""Attacks on signed artefacts: every one is refused, and the decoder is never called."""

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import wiring
from shared.durable import write_durably
from shared.errors import Fatal, UntrustedArtefact, UsageError
from shared.registry import artefact
from shared.registry.artefact import Expected, open_artefact, verified
from shared.registry.manifest import BlobRef, Manifest, canonical, parse_signed
from shared.registry.signing import Signer, Verifier, generate_key, key_id, public_from_pem
from shared.settings import Settings

BLOB = bytes(np.random.default_rng(0).integers(0, 256, 2_000, dtype=np.uint8))
SIGNER, OTHER = Signer(generate_key()), Signer(generate_key())
VERIFIER = Verifier([SIGNER.public])


def _manifest(**fields: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "problem": "p", "version": "v7", "parent": "v6", "kind": "boosting (trees)",
        "artefact": BlobRef.of(BLOB), "feature_set": "fs", "features": ["a", "b"],
        "classes": [0, 1], "start": 0, "end": 10, "selection": {"used": 10}, "seeds": {"x": 1},
        "libraries": {"numpy": "2"}, "code": "c", "metrics": {"accuracy": 0.9},
    }  # fmt: skip
    return Manifest(**{**plain, **fields}).as_dict()


SIGNED = SIGNER.sign(_manifest())


def _decode(blob: bytes) -> NoReturn:
    raise AssertionError("decoded something that was not verified")


def _refused(
    blob: bytes, signed: Any, words: str | None = None, verifier: Verifier = VERIFIER
) -> None:
    with pytest.raises(UntrustedArtefact, match=words):
        open_artefact(blob, signed, verifier, _decode)


def test_the_real_one_opens_and_survives_json() -> None:
    assert open_artefact(BLOB, SIGNED, VERIFIER, len) == len(BLOB)
    travelled = msgspec.json.decode(msgspec.json.encode(SIGNED))
    assert verified(BLOB, travelled, VERIFIER) is BLOB
    assert parse_signed(canonical(SIGNED)) == SIGNED
    assert SIGNER.sign(_manifest()) == SIGNED, "deterministic"
    assert SIGNER.sign(SIGNED) == SIGNED, "an old signature is not signed with"


def test_every_single_byte_flip_in_a_manifest_is_refused() -> None:
    data = canonical(SIGNED)
    for place in range(len(data)):
        for bit in (0x01, 0x20, 0x80):
            flipped = bytearray(data)
            flipped[place] ^= bit
            with pytest.raises(UntrustedArtefact):
                open_artefact(BLOB, parse_signed(bytes(flipped)), VERIFIER, _decode)


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, len(BLOB) - 1), value=st.integers(1, 255))
def test_a_changed_blob_is_refused(place: int, value: int) -> None:
    changed = bytearray(BLOB)
    changed[place] ^= value
    _refused(bytes(changed), SIGNED, "SHA-256")


def test_a_thousand_random_flips_in_blobs_are_refused() -> None:
    rng = np.random.default_rng(1)
    for _ in range(1_000):
        changed = np.frombuffer(BLOB, np.uint8).copy()
        places = rng.choice(len(BLOB), rng.integers(1, 9), replace=False)
        changed[places] ^= rng.integers(1, 256, len(places), dtype=np.uint8)
        _refused(changed.tobytes(), SIGNED, "SHA-256")


@pytest.mark.parametrize("size", [0, 1, len(BLOB) - 1])
def test_truncation_is_refused(size: int) -> None:
    _refused(BLOB[:size], SIGNED, "bytes")


def test_a_longer_blob_is_refused() -> None:
    _refused(BLOB + b"x", SIGNED, "bytes")


def test_the_size_cap_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefact, "ARTEFACT_LIMIT_BYTES", 100)
    monkeypatch.setattr(artefact, "sha256", _decode)
    _refused(BLOB, SIGNED, "100 are allowed")


def test_another_key_is_refused() -> None:
    _refused(BLOB, OTHER.sign(_manifest()), "unknown key")


def test_a_key_that_lies_about_its_name_is_refused() -> None:
    forged = OTHER.sign(_manifest())
    forged["signature"]["key"] = SIGNER.key_id
    _refused(BLOB, forged, "changed after")


def test_a_revoked_key_is_refused() -> None:
    _refused(BLOB, SIGNED, "revoked", Verifier([SIGNER.public], revoked={SIGNER.key_id}))


@pytest.mark.parametrize(
    "signature",
    [None, {}, "x", {"key": SIGNER.key_id}, {"key": 1, "value": 2},
     {"key": SIGNER.key_id, "value": ""}, {"key": SIGNER.key_id, "value": "zz" * 64},
     {"key": SIGNER.key_id, "value": SIGNED["signature"]["value"].upper()},
     {"key": SIGNER.key_id, "value": b64encode(b"0" * 64).decode()},
     {**SIGNED["signature"], "more": 1}],
)  # fmt: skip
def test_an_absent_or_odd_signature_is_refused(signature: Any) -> None:
    signed = {**_manifest(), "signature": signature}
    _refused(BLOB, signed, "signed|signature")
    _refused(BLOB, _manifest(), "not signed")


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(problem="q"),
        lambda m: m.update(version="v8"),
        lambda m: m["metrics"].update(accuracy=0.99),
        lambda m: m.update(extra=1),
        lambda m: m.pop("code"),
        lambda m: m.update(artefact={"digest": "0" * 64, "size_bytes": len(BLOB)}),
        lambda m: m["metrics"].update(accuracy=float("nan")),
    ],
)
def test_a_changed_field_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    signed = msgspec.json.decode(msgspec.json.encode(SIGNED))
    change(signed)
    _refused(BLOB, signed)


def test_a_valid_signature_of_another_model_does_not_help() -> None:
    other = BLOB[::-1]
    _refused(other, SIGNED, "SHA-256")
    with pytest.raises(UntrustedArtefact, match="made for the problem p"):
        verified(BLOB, SIGNED, VERIFIER, Expected(problem="q"))
    with pytest.raises(UntrustedArtefact, match="not v8"):
        verified(BLOB, SIGNED, VERIFIER, Expected(version="v8"))
    with pytest.raises(UntrustedArtefact, match="names no estimator"):
        verified(BLOB, SIGNED, VERIFIER, part="estimator")


def test_downgrade_is_refused_unless_a_rollback() -> None:
    for current in ("v7", "v8", "v10"):
        with pytest.raises(UntrustedArtefact, match="not newer"):
            verified(BLOB, SIGNED, VERIFIER, Expected(newer_than=current))
        verified(BLOB, SIGNED, VERIFIER, Expected(newer_than=current, rollback=True))
    verified(BLOB, SIGNED, VERIFIER, Expected(newer_than="v6"))
    with pytest.raises(UntrustedArtefact, match="no version"):
        verified(BLOB, SIGNED, VERIFIER, Expected(newer_than="latest"))


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_no_manifest(data: bytes) -> None:
    with pytest.raises(UntrustedArtefact):
        parse_signed(data)


@pytest.mark.parametrize("data", [b"[" * 100_000, b" " * 300_000, b'{"a":NaN}', b'{"a": 1}', b"1"])
def test_bombs_and_other_forms_are_no_manifest(data: bytes) -> None:
    with pytest.raises(UntrustedArtefact):
        parse_signed(data)


def test_keys() -> None:
    assert public_from_pem(SIGNER.public_pem) == SIGNER.public
    assert key_id(SIGNER.public) == SIGNER.key_id != OTHER.key_id
    wrong = generate_private_key(SECP256R1())
    pem = wrong.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for bad in (b"", b"garbage", pem, SIGNER.public_pem):
        with pytest.raises(Fatal, match="key"):
            Signer(bad)
    with pytest.raises(Fatal, match="key"):
        public_from_pem(generate_key())


def test_keys_are_rotated_and_revoked(tmp_path: Path) -> None:
    """A new key signs, the old one is trusted until it is revoked."""
    bundle = tmp_path / "trusted.pem"
    bundle.write_bytes(b"# both\n" + SIGNER.public_pem + b"\n" + OTHER.public_pem)
    both = wiring.open_keys(Settings(trusted_keys=bundle), tmp_path)
    for signer in (SIGNER, OTHER, both.signer):
        verified(BLOB, signer.sign(_manifest()), both.verifier)
    left = Settings(trusted_keys=bundle, revoked_keys=f" {SIGNER.key_id}, 0000 ")
    keys = wiring.open_keys(left, tmp_path)
    _refused(BLOB, SIGNED, "revoked", keys.verifier)
    verified(BLOB, OTHER.sign(_manifest()), keys.verifier)
    with pytest.raises(UsageError, match="HEADRACE_REVOKED_KEYS"):
        wiring.open_keys(Settings(revoked_keys=both.signer.key_id), tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", SIGNER.public_pem[:60], generate_key()],
    ids=["empty", "garbage", "cut", "private"],
)
def test_a_bundle_without_keys_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trusted.pem").write_bytes(content)
    with pytest.raises(Fatal, match="key"):
        wiring.open_keys(Settings(trusted_keys=tmp_path / "trusted.pem"), tmp_path)
    with pytest.raises(UsageError, match="HEADRACE_TRUSTED_KEYS"):
        wiring.open_keys(Settings(trusted_keys=tmp_path / "nowhere.pem"), tmp_path)


def test_of_two_processes_that_start_one_makes_the_key(tmp_path: Path) -> None:
    path = tmp_path / wiring.KEY
    first = wiring.open_keys(Settings(), tmp_path).signer.key_id
    write_durably(path, generate_key(), once=True)  # a second one that saw none
    assert wiring.open_keys(Settings(), tmp_path).signer.key_id == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]
