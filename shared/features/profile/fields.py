"""Fields as they came: which ones the features do not show as they were, and how that is told."""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from shared.messages.types import Prediction
from shared.problem.spec import FieldSpec, Problem

_ALL = 1 << 32
_SPREAD = 0x9E3779B1
_KEPT = ("keep", "reject", "flag")


class RawFields:
    """What is told of an event's fields beside its features, for a share of the events by their ids.

    `same`: fields that are features as they are, missing where the feature is; nothing is told of them,
    nor of the key, which is there anyway. Of a number that is a feature it is told where cleaning
    changed it. Of all others (scaled, encoded, no feature) the value, of free text only a hash.
    """

    def __init__(self, problem: Problem) -> None:
        fields, key = problem.events.fields, problem.events.key
        self.same = tuple(name for name, spec in fields.items() if _is_same(spec))
        self.names = tuple(name for name in fields if name not in self.same)
        """The others, in the order of the problem file."""
        told = [name for name in self.names if name != key]
        self._key = key
        self._cleaned = [name for name in told if fields[name].columns(name)[:1] == (name,)]
        others = [name for name in told if name not in self._cleaned]
        self._texts = [name for name in others if fields[name].type == "text"]
        self._others = [name for name in others if fields[name].type != "text"]
        self._tells = bool(told) and problem.profile.share > 0
        self._below = round(problem.profile.share * _ALL)

    def sampled(self, name: str) -> bool:
        """Whether the event `name` is one of the declared share."""
        if not self.names:
            return False
        return crc(name) * _SPREAD % _ALL < self._below

    def told(
        self, name: str, fields: Mapping[str, Any], features: Mapping[str, float | None]
    ) -> dict[str, Any] | None:
        """What the event's prediction has to tell of its fields; None: nothing."""
        if not self._tells or not self.sampled(name):
            return None
        found = {other: fields.get(other) for other in self._others}
        for text in self._texts:
            value = fields.get(text)
            found[text] = None if value is None else crc(value)
        for cleaned in self._cleaned:
            value = fields.get(cleaned)
            if (None if value is None else float(value)) != features[cleaned]:
                found[cleaned] = value
        return found or None

    def values(self, prediction: Prediction) -> dict[str, Any] | None:
        """The fields of a prediction's event, `names` in order; None: it is not one of the share."""
        told = prediction.fields
        if (told is None and (self._others or self._texts)) or not self.sampled(prediction.id):
            return None
        known = {**prediction.features, **(told or {})}
        return {
            name: prediction.key if name == self._key else known.get(name) for name in self.names
        }


def crc(text: str) -> int:
    """32 bits of a text."""
    return crc32(text.encode("utf-8", "surrogatepass"))


def _is_same(spec: FieldSpec) -> bool:
    if not spec.feature or spec.missing not in _KEPT:
        return False
    if spec.type == "category":
        return spec.encode == "onehot" and spec.unseen == "reject"
    return spec.type not in ("text", "time") and spec.outliers != "clip" and spec.scale is None
