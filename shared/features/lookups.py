"""Looking up what a reference says of an event."""

from collections.abc import Mapping

from shared.features.port import Row
from shared.features.references import Found, References
from shared.messages.types import Unfound, Valid
from shared.problem.scalars import scalar_text
from shared.problem.spec import Lookup, ReferenceSpec
from shared.problem.times import microseconds

_NO_KEY = Found(None, "missing")


class LookupValues:
    """One declared lookup, by the event's own time: also of a late event."""

    def __init__(
        self, spec: Lookup, references: References, specs: Mapping[str, ReferenceSpec]
    ) -> None:
        declared = specs[spec.reference]
        order = list(declared.fields)
        self.name = spec.prefix
        self.encoded = {
            name: field
            for name, (_, field) in spec.found().items()
            if field.type == "category" and field.feature
        }
        """Categories, which become other columns."""
        self._by = spec.by or declared.key
        self._table = spec.reference
        self._find = references.find
        self._places = [
            (name, order.index(own), f"{name}_missing" in field.columns(name))
            for name, (own, field) in spec.found().items()
        ]

    def write(self, row: Row, valid: Valid) -> None:
        """Put what is found into `row`; None is missing."""
        values = self._found(valid).values
        for name, place, flagged in self._places:
            value = row[name] = None if values is None else values[place]
            if flagged:
                row[f"{name}_missing"] = 1.0 if value is None else 0.0

    def unfound(self, valid: Valid) -> Unfound | None:
        """Why nothing is found; None: a version is."""
        return self._found(valid).why

    def _found(self, valid: Valid) -> Found:
        key = valid.fields.get(self._by)
        if not isinstance(key, str | bool | int | float):
            return _NO_KEY
        return self._find(self._table, scalar_text(key), microseconds(valid.time))
