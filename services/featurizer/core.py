"""Valid events become features; all of the work is in `shared/features`."""

from collections.abc import Iterator, Mapping, Sequence

from shared.features.feature_set import FeatureSet
from shared.features.profile.fields import RawFields
from shared.messages.streams import FEATURES
from shared.messages.types import Features, Valid
from shared.problem.spec import Problem
from shared.stage import Out, Record


class Featurizer:
    """A stage around one `FeatureSet`."""

    def __init__(self, problem: Problem) -> None:
        self._set = FeatureSet(problem)
        self._raw = RawFields(problem)

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """See `shared.stage.Stage`."""
        transform, digest, told = self._set.transform, self._set.digest, self._raw.told
        for record in records:
            valid: Valid = record.value
            numbers = transform(valid)
            fields = told(valid.id, valid.fields, numbers)
            features = Features(
                valid.id, valid.time, numbers, digest, valid.key, valid.source, fields
            )
            yield Out(FEATURES, features, record, record.key)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """See `shared.stage.Stage`."""
        return self._set.changes()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See `shared.stage.Stage`."""
        self._set.restore(entries)
