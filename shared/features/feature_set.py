"""The features of one problem: names, digest, and the fold from valid events to numbers."""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from shared.features.categories import ENCODINGS
from shared.features.cleaning import Cleaned
from shared.features.keys import Keys
from shared.features.kinds import KINDS
from shared.features.lookups import LookupValues
from shared.features.past import Past, Plan
from shared.features.port import Operator, Remembering, Row
from shared.features.references import References
from shared.messages.types import Unfound, Valid
from shared.problem.durations import duration_text
from shared.problem.expression import Formula
from shared.problem.spec import Auto, Calendar, Expression, Feature, Lookup, Problem, Since

_VERSION = 1
"""Counts changes of meaning: with it the digest changes."""

_ADDED = {"outliers", "outlier_limit", "scale", "tumbling", "session"}
"""Options that came later: a definition without them keeps its digest."""


class FeatureSet:
    """Computes features event by event, in order of arrival within each key.

    `names`: the features, in the order of the model's columns. `digest`: of their definition.
    Memory: at most `events.max_keys` keys, none silent for longer than `events.expire`, each as
    `shared/features/past.py` says.
    """

    def __init__(self, problem: Problem) -> None:
        self.names = problem.feature_names
        self.digest = _digest(problem)
        self._plan = Plan()
        used = _used(problem)
        self._fields = [
            (name, clean.as_it_is, clean)
            for name, spec in problem.events.fields.items()
            if name in used
            for clean in [Cleaned(name, spec, self._plan)]
        ]
        fields = problem.events.fields
        self.references = References(problem.references)
        """What lookups find; whoever feeds the set takes the records of the topic into it."""
        self._lookups = [
            LookupValues(spec, self.references, problem.references) for spec in problem.lookups
        ]
        self._only_features = not self._lookups and all(
            fields[name].columns(name) == (name,) for name in used
        )
        self._operators: list[Operator] = [
            ENCODINGS[spec.encode](name, spec)
            for name, spec in problem.events.fields.items()
            if spec.type == "category" and spec.feature
        ]
        encoded = [pair for lookup in self._lookups for pair in lookup.encoded.items()]
        self._operators += [ENCODINGS[spec.encode](name, spec) for name, spec in encoded]
        for index, feature in enumerate(problem.features):
            if isinstance(feature, Auto | Lookup):
                continue
            kinds = problem.formula_kinds(index)
            self._operators.append(KINDS[feature.kind](feature, self._plan, kinds))
        self._computes = [operator.compute for operator in self._operators]
        self._blank: Row = dict.fromkeys(self.names)
        self._remembering = [op for op in self._operators if isinstance(op, Remembering)]
        self._keys = Keys(self._plan, problem.events.max_keys, problem.events.expire)
        self._nothing = Past(self._plan) if self._plan.empty else None

    @property
    def forgotten(self) -> int:
        """Keys that were forgotten: to make room for others, or expired."""
        return self._keys.forgotten

    def transform(self, valid: Valid) -> dict[str, float | None]:
        """The features of `valid`, which becomes part of its key's past."""
        plan, fields, time = self._plan, valid.fields, valid.time
        past = self._nothing
        if past is None:
            past = self._keys.at(valid.key or "", time)
        row: Row = self._blank.copy()
        for name, as_it_is, clean in self._fields:
            value = fields.get(name)
            if as_it_is and value.__class__ is float and value - value == 0.0:
                row[name] = value
            else:
                row[name] = clean(value, past, row)
        for lookup in self._lookups:
            lookup.write(row, valid)
        for compute in self._computes:
            compute(row, time, past)
        if past is not self._nothing:
            past.append(row, plan)
        return row if self._only_features else {name: row[name] for name in self.names}

    def unfound(self, valid: Valid) -> dict[str, Unfound] | None:
        """The lookups that find nothing for `valid`, and why; None: all find something."""
        found = {lookup.name: lookup.unfound(valid) for lookup in self._lookups}
        return {name: why for name, why in found.items() if why is not None} or None

    @property
    def reach(self) -> int | None:
        """Events of a key after which nothing that came before them changes a bit of a feature; None:
        there is no such number. A feature may look back at others that look back.
        """
        if self._plan.fills or self._plan.windows or self._remembering:
            return None
        return 0 if self._plan.empty else self._plan.depth * len(self._operators)

    def seen(self, key: str) -> int:
        """Events of `key` that are in its past."""
        past = self._keys.past(key)
        return 0 if past is None else past.events

    def drop(self, key: str) -> None:
        """Forget the past of `key`."""
        self._keys.drop(key)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """State entries that changed since the last call."""
        yield from self._keys.changes()
        yield from self.references.changes()
        for operator in self._remembering:
            yield from operator.changes()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Continue where the set that wrote `entries` was."""
        self._keys.restore(entries)
        self.references.restore(entries)
        for operator in self._remembering:
            operator.restore(entries)


def _used(problem: Problem) -> set[str]:
    """Fields that a feature is made from."""
    used = {name for name, spec in problem.events.fields.items() if spec.columns(name)}
    for index, feature in enumerate(problem.features):
        if isinstance(feature, Expression | Since):
            text = feature.formula or "true"
            used |= set(Formula(text, problem.formula_kinds(index)).names)
        elif not isinstance(feature, Auto | Calendar | Lookup):
            used.add(feature.field)
    return used & problem.events.fields.keys()


def _dumped(feature: Feature) -> dict[str, Any]:
    dumped = feature.model_dump(mode="json")
    return {k: v for k, v in dumped.items() if k not in _ADDED or v is not None}


def _digest(problem: Problem) -> str:
    """16 hexadecimal digits over everything that the numbers depend on."""
    matters = {"type", "missing", "categories", "unseen", "feature", "encode", "buckets"}
    definition: dict[str, Any] = {
        "version": _VERSION,
        "key": problem.events.key,
        "max_keys": problem.events.max_keys,
        "fields": {
            name: spec.model_dump(mode="json", include=matters)
            | spec.model_dump(mode="json", include=_ADDED, exclude_defaults=True)
            for name, spec in problem.events.fields.items()
        },
        "features": [_dumped(feature) for feature in problem.features],
    }
    if problem.references:
        definition["references"] = {
            name: {
                "key": spec.key,
                "keep": spec.keep,
                "max_keys": spec.max_keys,
                "expire": spec.expire and duration_text(spec.expire),
                "fields": {
                    n: f.model_dump(mode="json", include=matters) for n, f in spec.fields.items()
                },
            }
            for name, spec in problem.references.items()
        }
    if problem.events.expire is not None:
        definition["expire"] = duration_text(problem.events.expire)
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]
