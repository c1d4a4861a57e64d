"""What producers put into a request: documents become arrivals, labels and references all or none."""

from collections.abc import Sequence
from datetime import datetime

from services.collector.replay import Arrival
from shared.errors import Reject
from shared.features.references import ReferenceReader
from shared.messages.cloudevents import opened, plain_label
from shared.messages.codec import decode
from shared.messages.streams import EVENTS, LABELS, REFERENCES
from shared.problem.naming import event_key, reference_key
from shared.problem.spec import Problem
from shared.runtime.intake import Document

_LABEL = '{"id": "the event\'s id", "label": value}'
_REFERENCE = '{"reference": "table", "key": value, "fields": {…}, "time": "2026-01-31T00:00:00Z"}'


def events_of(documents: Sequence[Document], problem: Problem, at: datetime) -> list[Arrival]:
    """Events as they arrive at `at`, whatever they are."""
    return [
        Arrival(EVENTS, event_key(value, headers, problem), value, at, headers)
        for value, headers in documents
    ]


def labels_of(documents: Sequence[Document], at: datetime) -> list[Arrival]:
    """Labels as they arrive at `at`.

    Raises:
        Reject: one of them is no label; nothing of the request may be used then, so that the
            producer can mend it and send it again.
    """
    found = []
    for number, (value, headers) in enumerate(documents, start=1):
        try:
            name = decode(LABELS, plain_label(value, headers)).id
        except Reject as why:
            raise _unusable(f"label {number} of {len(documents)}", value, _LABEL, why) from why
        found.append(Arrival(LABELS, name, value, at, headers))
    return found


def references_of(documents: Sequence[Document], problem: Problem, at: datetime) -> list[Arrival]:
    """References as they arrive at `at`.

    Raises:
        Reject: one of them cannot be used; nothing of the request may be used then.
    """
    reader, found = ReferenceReader(problem), []
    for number, (value, headers) in enumerate(documents, start=1):
        try:
            reader.version(value, headers, 0)
            data, _ = opened(value, headers)
        except Reject as why:
            which = f"reference {number} of {len(documents)}"
            raise _unusable(which, value, _REFERENCE, why) from why
        found.append(Arrival(REFERENCES, reference_key(data), data, at))
    return found


def _unusable(which: str, value: bytes, form: str, why: Reject) -> Reject:
    """Why a request is not taken: one of its documents does not have the `form`."""
    shown = value[:80].decode(errors="replace")
    return Reject(
        f"{which} cannot be used: {why.reason}. It begins {shown!r}. Write {form}. None of this "
        "request was taken.",
        check=why.check,
    )
