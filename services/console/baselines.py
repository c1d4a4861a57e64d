"""The baselines' answers at prediction time, and what they learn when the label comes.

The contestants are those of `shared.evaluation.baselines`, which answers for past rows all at once
(tests hold both to one slow oracle). Here they are kept in a way that costs a few microseconds an
event and a checkpoint in proportion to what changed: no feature vector is part of the state while its
label is awaited, since the outcome brings it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from shared.evaluation.linear import Linear

F64 = npt.NDArray[np.float64]
Row = Mapping[str, float | None]
Rule = Callable[[Row], Any]
Answer = str | float | None


_ZERO, _ONE = np.zeros(1), np.ones(1)


class Said(msgspec.Struct, array_like=True):
    """What was said of one event, in the order of the names; None: no answer.

    `place` is its ordinal among the predictions. `chances` (classes only): the probabilities of all
    classes known then, or a single number: that of the class said, the others share the rest.
    """

    place: int
    answers: list[Answer]
    chances: list[list[float]] = []


class Contestants(Protocol):
    """The baselines of one task."""

    names: tuple[str, ...]

    def answer(self, features: Row, x: F64, place: int, rates: Sequence[float]) -> Said:
        """What each says now; `x` is `features` as a vector. `rates` [names]: the share of right
        answers so far (classes).
        """
        ...

    def learn(self, x: F64, label: Any) -> None:
        """Take one label (class key or number), in the order in which labels come."""
        ...

    def dump(self) -> bytes:
        """The state: a few kilobytes."""
        ...

    def load(self, data: bytes) -> None:
        """Continue exactly."""
        ...


class _State(msgspec.Struct):
    classes: list[str]
    tally: list[int]
    known: int
    mean: float
    newest: Answer
    linear: dict[str, tuple[list[int], bytes]]


class ClassBaselines:
    """Majority, no-change, online linear and rules, for classes."""

    def __init__(self, n_features: int, classes: Sequence[str], rules: Mapping[str, Rule]) -> None:
        self.names = ("majority", "no_change", "linear", *rules)
        self._rules = tuple(rules.values())
        self._classes = list(classes)
        self._tally = [0] * len(self._classes)
        self._known = 0
        self._newest: Answer = None
        self._linear = Linear(n_features, _outputs(len(self._classes)), logistic=True)

    def answer(self, features: Row, x: F64, place: int, rates: Sequence[float]) -> Said:
        """See `Contestants`. Nothing before the first class is known."""
        classes, tally, known = self._classes, self._tally, self._known
        if not classes:
            return Said(place, [None] * len(self.names), [[]] * len(self.names))
        k = len(classes)
        linear = self._linear_chances(x, k)
        answers: list[Answer] = [
            classes[tally.index(max(tally))],
            classes[0] if self._newest is None else self._newest,
            classes[linear.index(max(linear))],
        ]
        chances = [[(count + 1) / (known + k) for count in tally], [rates[1]], linear]
        for rate, rule in zip(rates[3:], self._rules, strict=True):
            answers.append(self._class_of(rule(features)))
            chances.append([rate])
        return Said(place, answers, chances)

    def chances(self, said: Said, label: str) -> list[float]:
        """The probability that each one gave to the class `label`."""
        k = len(self._classes)
        index = self._classes.index(label) if label in self._classes else k
        rest = 1 / (k - 1) if k > 1 else 1.0
        found = []
        for answer, p in zip(said.answers, said.chances, strict=True):
            if len(p) != 1:
                found.append(p[index] if index < len(p) else 0.0)
            else:
                found.append(p[0] if answer == label else (1 - p[0]) * rest)
        return found

    def learn(self, x: F64, label: str) -> None:
        """See `Contestants`."""
        if label not in self._classes:
            self._classes.append(label)
            self._tally.append(0)
            self._linear.grow(_outputs(len(self._classes)))
        index = self._classes.index(label)
        self._tally[index] += 1
        self._known += 1
        self._newest = label
        if len(self._classes) > 2:
            self._linear.learn(x, np.eye(len(self._classes))[index])
        else:
            self._linear.learn(x, _ONE if index == 1 else _ZERO)

    def dump(self) -> bytes:
        """See `Contestants`."""
        linear = packed(self._linear)
        state = _State(self._classes, self._tally, self._known, 0.0, self._newest, linear)
        return msgspec.msgpack.encode(state)

    def load(self, data: bytes) -> None:
        """See `Contestants`."""
        state = msgspec.msgpack.decode(data, type=_State)
        self._classes, self._tally, self._known = state.classes, state.tally, state.known
        self._newest = state.newest
        self._linear.restore(unpacked(state.linear))

    def _linear_chances(self, x: F64, k: int) -> list[float]:
        said = self._linear.predict(x).tolist()
        if len(said) == 1:
            return [1 - said[0], said[0]] if k == 2 else [1.0]
        total = sum(said)
        return [p / total for p in said] if total > 0 else [1 / k] * k

    def _class_of(self, value: Any) -> Answer:
        """A rule's result as a class: true and false are the second and the first of two."""
        if value is None:
            return None
        if isinstance(value, bool):
            key = "true" if value else "false"
            if key in self._classes or len(self._classes) != 2:
                return key
            return self._classes[int(value)]
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


class NumberBaselines:
    """Mean, no-change, online linear and rules, for numbers."""

    def __init__(self, n_features: int, rules: Mapping[str, Rule]) -> None:
        self.names = ("mean", "no_change", "linear", *rules)
        self._rules = tuple(rules.values())
        self._known = 0
        self._mean = 0.0
        self._newest = 0.0
        self._linear = Linear(n_features, 1, logistic=False)

    def answer(self, features: Row, x: F64, place: int, rates: Sequence[float]) -> Said:
        """See `Contestants`."""
        linear = float(self._linear.predict(x)[0])
        answers: list[Answer] = [self._mean, self._newest, linear]
        for rule in self._rules:
            value = rule(features)
            answers.append(float(value) if isinstance(value, int | float) else None)
        return Said(place, answers)

    def learn(self, x: F64, label: float) -> None:
        """See `Contestants`."""
        self._known += 1
        self._mean += (label - self._mean) / self._known
        self._newest = label
        self._linear.learn(x, np.array([label]))

    def dump(self) -> bytes:
        """See `Contestants`."""
        linear = packed(self._linear)
        return msgspec.msgpack.encode(
            _State([], [], self._known, self._mean, self._newest, linear)
        )

    def load(self, data: bytes) -> None:
        """See `Contestants`."""
        state = msgspec.msgpack.decode(data, type=_State)
        self._known, self._mean = state.known, state.mean
        self._newest = float(state.newest or 0.0)
        self._linear.restore(unpacked(state.linear))


def packed(linear: Linear) -> dict[str, tuple[list[int], bytes]]:
    """A linear model's arrays as shape and little-endian bytes."""
    return {
        name: (list(array.shape), array.astype("<f8").tobytes())
        for name, array in linear.snapshot().items()
    }


def unpacked(arrays: dict[str, tuple[list[int], bytes]]) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of `packed`."""
    return {
        name: np.frombuffer(data, "<f8").reshape(shape).copy()
        for name, (shape, data) in arrays.items()
    }


def _outputs(k: int) -> int:
    return k if k > 2 else 1


def vector(features: Row, names: Sequence[str]) -> F64:
    """[names] the features as numbers; missing is NaN."""
    get = features.get
    return np.array(list(map(get, names)), np.float64)
