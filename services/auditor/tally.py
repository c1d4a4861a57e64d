"""Served features beside recomputed ones, counted over a window of event time."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import msgspec

from shared.messages.types import Audit, AuditedFeature, Prediction
from shared.problem.times import EPOCH

Numbers = Mapping[str, float | None]


class Tally(msgspec.Struct):
    """The open window, the `number`th since 1970 (-1: none yet)."""

    number: int = -1
    compared: int = 0
    unmatched: int = 0
    unfounded: int = 0
    foreign: int = 0
    features: dict[str, AuditedFeature] = {}

    def compare(
        self,
        said: Prediction,
        expected: Numbers,
        feature_set: str,
        learned: Collection[str] = (),
    ) -> None:
        """Count one prediction: what was served for it, and what raw events give; `learned` features
        are made of labels, which raw events do not have.
        """
        self.compared += 1
        self.foreign += said.feature_set != feature_set
        served: Numbers = said.features
        if learned:
            served = {name: value for name, value in served.items() if name not in learned}
        if served == expected:
            return
        for name in dict.fromkeys((*expected, *served)):
            got, want = served.get(name), expected.get(name)
            if got != want or (name in served) != (name in expected):
                self._differs(name, said.id, got, want)

    def _differs(self, name: str, event: str, got: float | None, want: float | None) -> None:
        row = self.features.get(name)
        if row is None:
            row = self.features[name] = AuditedFeature(name, id=event, served=got, expected=want)
        if got is not None and want is not None:
            row.mismatch += 1
        elif got is None:
            row.missing += 1
        else:
            row.extra += 1

    def audit(self, window: timedelta, feature_set: str, partition: int) -> Audit | None:
        """The window as a message; None: there is nothing in it."""
        if not (self.compared or self.unmatched or self.unfounded):
            return None
        start = EPOCH + self.number * window
        return Audit(
            start=start, end=start + window, compared=self.compared,
            features=list(self.features.values()), unmatched=self.unmatched,
            unfounded=self.unfounded, foreign=self.foreign,
            feature_set=feature_set, partition=partition,
        )  # fmt: skip


def window_of(time: datetime, window: timedelta) -> int:
    """The number of the window that holds `time`."""
    return (time - EPOCH) // window
