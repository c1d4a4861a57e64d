"""What producers put into a request: documents become arrivals, labels only if all of them are."""

from collections.abc import Sequence
from datetime import datetime

from services.collector.replay import Arrival
from shared.errors import Reject
from shared.messages.cloudevents import plain_label
from shared.messages.codec import decode
from shared.messages.streams import EVENTS, LABELS
from shared.problem.naming import event_key
from shared.problem.spec import Problem
from shared.runtime.intake import Document


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
            shown = value[:80].decode(errors="replace")
            raise Reject(
                f"label {number} of {len(documents)} cannot be used: {why.reason}. It begins "
                f'{shown!r}. Write {{"id": "the event\'s id", "label": value}}. None of this request '
                "was taken.",
                check=why.check,
            ) from why
        found.append(Arrival(LABELS, name, value, at, headers))
    return found
