"""What a retraining really gained: measured while the champion before it still answered."""

from collections.abc import Iterable
from typing import Any

from shared.messages.types import ModelEvent


def gain_of(version: str, events: Iterable[ModelEvent]) -> dict[str, Any] | None:
    """The loss that `version` saved as champion over the one before it, on events that both answered.

    `saved` is in the metric's loss, summed over `pairs` events; None while that is not known: it never
    became champion, or the way back is still open.
    """
    found = None
    for event in events:
        evidence = event.evidence
        if evidence.get("role") != "rollback" or evidence.get("against") != version:
            continue
        if event.state in ("retired", "champion") and evidence.get("pairs"):
            saved = -evidence["mean_gain"]
            found = {
                "over": event.model,
                "pairs": evidence["pairs"],
                "saved": saved * evidence["pairs"],
                "saved_per_event": saved,
                "metric": evidence.get("metric", ""),
            }
    return found
