"""Valid events become features; all of the work is in `shared/features`."""

from collections.abc import Iterator, Mapping, Sequence

from shared.errors import Reject
from shared.features.feature_set import FeatureSet
from shared.features.profile.fields import RawFields
from shared.features.references import ReferenceReader
from shared.messages.streams import FEATURES, REFERENCES, REJECTED
from shared.messages.types import Features, Valid
from shared.problem.spec import Problem
from shared.rejecting import rejected
from shared.stage import Out, Record


class Featurizer:
    """A stage around one `FeatureSet`."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem.name
        self._set = FeatureSet(problem)
        self._raw = RawFields(problem)
        self._reader = ReferenceReader(problem)
        self._looks_up = bool(problem.lookups)

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        """See `shared.stage.Stage`."""
        transform, digest, told = self._set.transform, self._set.digest, self._raw.told
        for record in records:
            if record.stream is REFERENCES:
                yield from self._refer(record)
                continue
            valid: Valid = record.value
            numbers = transform(valid)
            fields = told(valid.id, valid.fields, numbers)
            features = Features(
                valid.id, valid.time, numbers, digest, valid.key, valid.source, fields
            )
            if self._looks_up:
                features.references = self._set.references.position
                features.unfound = self._set.unfound(valid)
            yield Out(FEATURES, features, record, record.key)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """See `shared.stage.Stage`."""
        return self._set.changes()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """See `shared.stage.Stage`."""
        self._set.restore(entries)

    def _refer(self, record: Record) -> Iterator[Out]:
        """Take a reference; events before it in the order of arrival keep what was said of them."""
        version = None
        try:
            version = self._reader.version(record.value, record.headers, record.timestamp_ms)
        except Reject as why:
            yield Out(REJECTED, rejected(record, self._problem, why), record)
        self._set.references.take(version, record.offset, record.timestamp_ms)
