"""A feature set over a stream, saved and restored on the way."""

from collections.abc import Iterator, Sequence

from shared.features.feature_set import FeatureSet
from shared.messages.types import Valid
from shared.problem.spec import Problem

Row = dict[str, float | None]


def save(features: FeatureSet, entries: dict[str, bytes]) -> int:
    """Apply the changes to `entries`; their size in bytes."""
    size_bytes = 0
    for name, value in features.changes():
        size_bytes += len(value or b"")
        if value is None:
            entries.pop(name, None)
        else:
            entries[name] = value
    return size_bytes


def folded(
    spec: Problem,
    events: Sequence[Valid],
    cut: int,
    entries: dict[str, bytes] | None = None,
    every: int = 1_000,
) -> Iterator[tuple[Valid, Row]]:
    """Each event with its features. Before the event `cut` the set is saved, and another restored.

    `entries`: where it is saved, at the end and before each `every`-th event too.
    """
    features, entries = FeatureSet(spec), {} if entries is None else entries
    for n, event in enumerate(events):
        if n == cut or n % every == 0:
            save(features, entries)
        if n == cut:
            features = FeatureSet(spec)
            features.restore(entries)
        found = features.transform(event)
        assert tuple(found) == spec.feature_names
        yield event, found
    save(features, entries)
