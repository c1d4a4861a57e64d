"""What the fields looked like before they were cleaned, where the features show something else."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from services.console.profiles import Profiles, Snapshot
from shared.features.profile.fields import RawFields, crc
from shared.messages.types import Prediction
from shared.problem.scalars import scalar_text
from shared.problem.spec import Problem
from shared.problem.times import parse_time

MOST_TEXTS, LONGEST = 1_000, 64
"""Values of a category that are remembered as text, the first ones; and of how many characters."""
_TEXTS = "texts/"


class FieldsSnapshot(msgspec.Struct, frozen=True):
    """`texts`: what the codes of a category stand for. `same`: fields that are features as they are."""

    profiles: Snapshot
    texts: dict[str, dict[int, str]]
    same: tuple[str, ...]


class FieldProfiles:
    """Tiles of the fields in `RawFields.names`, categories and texts as 32 bits of a hash."""

    def __init__(self, problem: Problem) -> None:
        self._fields = RawFields(problem)
        self._profiles = Profiles(self._fields.names, problem.profile.tile, "fields")
        key, specs = problem.events.key, problem.events.fields
        self._numbers = {
            name: self._coded(name)
            if name == key or specs[name].type == "category"
            else _NUMBERS.get(specs[name].type, float)
            for name in self._fields.names
        }
        self._texts: dict[str, dict[int, str]] = {}
        self._changed: set[str] = set()

    def add(self, prediction: Prediction) -> None:
        """One prediction, if its event is one of the share."""
        values = self._fields.values(prediction)
        if values is not None:
            numbers = {
                name: None if value is None else self._numbers[name](value)
                for name, value in values.items()
            }
            self._profiles.add(prediction, numbers)

    def _coded(self, name: str) -> Callable[[Any], float]:
        def code(value: Any) -> float:
            text = scalar_text(value)
            found, known = crc(text), self._texts.setdefault(name, {})
            if found not in known and len(known) < MOST_TEXTS:
                known[found] = text[:LONGEST]
                self._changed.add(name)
            return float(found)

        return code

    def snapshot(self) -> FieldsSnapshot:
        """What is there now."""
        texts = {name: dict(known) for name, known in self._texts.items()}
        return FieldsSnapshot(self._profiles.snapshot(), texts, self._fields.same)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """The tiles that changed, and the texts of the fields that have new ones."""
        yield from self._profiles.changes()
        for name in sorted(self._changed):
            yield f"{_TEXTS}{name}", msgspec.msgpack.encode(self._texts[name])
        self._changed.clear()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue exactly."""
        self._profiles.restore(entries)
        for entry, value in entries.items():
            if entry.startswith(_TEXTS):
                known = msgspec.msgpack.decode(value, type=dict[int, str])
                self._texts[entry.removeprefix(_TEXTS)] = known


_NUMBERS: dict[str, Callable[[Any], float]] = {
    "time": lambda value: parse_time(value).timestamp(),
}
