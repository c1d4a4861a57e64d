"""Decisions on models and jobs as signed records: who decided what, when, on what evidence.

The signature (Ed25519, `signing.py`) covers the whole record but itself. What is signed is wrapped in
an object that no model manifest can be, so neither passes for the other.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from shared.errors import Reject, UntrustedArtefact
from shared.messages.types import Job, ModelEvent
from shared.registry.manifest import SIGNATURE
from shared.registry.signing import Verifier

Decision = TypeVar("Decision", ModelEvent, Job)
Sign = Callable[[Mapping[str, Any]], dict[str, Any]]
VERDICTS = frozenset({"accepted", "rejected", "failed", "settled"})
"""States of a job that are signed."""
Trusted = Callable[[ModelEvent | Job], object]
"""`Tools.trusted`: raises UntrustedArtefact for a record that no trusted key signed."""


def sealed(decision: Decision, sign: Sign) -> Decision:
    """The record with its signature; `sign` is `Tools.signed`."""
    return msgspec.structs.replace(decision, signature=sign(_wrapped(decision))[SIGNATURE])


def signed_by(decision: ModelEvent | Job, verifier: Verifier) -> str:
    """The id of the trusted key that signed exactly this record.

    Raises:
        UntrustedArtefact: nobody did: no signature, an unknown or revoked key, or the record was
            changed.
    """
    if decision.signature is None:
        raise UntrustedArtefact("the record is not signed")
    verifier.check({**_wrapped(decision), SIGNATURE: decision.signature})
    return decision.signature["key"]


def refusal(record: ModelEvent | Job, trusted: Trusted, reader: str) -> Reject | None:
    """Why `reader` does not act on a decision; None: a trusted key signed it as it stands."""
    try:
        trusted(record)
    except UntrustedArtefact as why:
        says = f"{record.model} {record.state}"
        return Reject(f"the {reader} does not act on `{says}`: {why}", why.check)
    return None


def _wrapped(decision: ModelEvent | Job) -> dict[str, Any]:
    """As it stands on the log, so that who reads it there can check it."""
    plain = msgspec.json.decode(msgspec.json.encode(decision))
    return {"decision": {name: value for name, value in plain.items() if name != SIGNATURE}}
