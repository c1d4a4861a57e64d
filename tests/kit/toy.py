"""A toy system with the real shape: events are scored by a number that outcomes change."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from shared.messages.streams import (
    CONTROL,
    EVENTS,
    FEATURES,
    LABELS,
    MODELS,
    OUTCOMES,
    PREDICTIONS,
    Stream,
)  # fmt: skip
from shared.messages.types import Control, Features, Label, ModelEvent, Outcome, Prediction
from shared.problem.spec import Events, FieldSpec, LabelSpec, ModelSpec, Problem
from shared.stage import Out, Record, Service, Stage, Tools

T0 = datetime(2000, 1, 1, tzinfo=UTC)


def toy_problem(freshness: int = 1) -> Problem:
    return Problem(
        name="toy",
        goal="count",
        task="regression",
        events=Events(fields={"x": FieldSpec(type="number")}),
        label=LabelSpec(field="y"),
        model=ModelSpec(freshness=freshness),
    )


class Featurize:
    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        for r in records:
            x = float(r.value)
            yield Out(FEATURES, Features(f"e{r.offset}", T0, {"x": x}, "f"), r)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        yield from ()

    def restore(self, entries: Mapping[str, bytes]) -> None: ...


class Score:
    """Predicts x plus the fresh sum it was handed; names how many outcomes that holds."""

    def __init__(self) -> None:
        self.model: tuple[float, int] = (0.0, 0)

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        for r in records:
            if r.stream is MODELS:
                if isinstance(r.value, tuple):
                    self.model = r.value
                continue
            total, n = self.model
            yield Out(PREDICTIONS, Prediction(
                id=r.value.id, time=T0, prediction=r.value.features["x"] + total, model=f"n{n}",
                features=r.value.features, feature_set="f"), r)  # fmt: skip

    changes, restore = Featurize.changes, Featurize.restore


class Join:
    def __init__(self) -> None:
        self.waiting: dict[str, Any] = {}

    @property
    def held(self) -> int:
        return sum(isinstance(value, Label) for value in self.waiting.values())

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        for r in records:
            if r.stream is PREDICTIONS:
                label = self.waiting.pop(f"l{r.value.id}", None)
                if label is not None:
                    yield self._out(r.value, label, r)
                else:
                    self.waiting[r.value.id] = r.value
            elif r.stream is LABELS:
                label = msgspec.json.decode(r.value, type=Label)
                prediction = self.waiting.pop(label.id, None)
                if prediction is None:
                    self.waiting[f"l{label.id}"] = label
                else:
                    yield self._out(prediction, label, r)

    def _out(self, p: Prediction, label: Label, r: Record) -> Out:
        fields = {name: getattr(p, name) for name in p.__struct_fields__}
        return Out(OUTCOMES, Outcome(**fields, label=label.label), r)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        rows = [(type(v).__name__, k, msgspec.json.encode(v)) for k, v in self.waiting.items()]
        yield "waiting", msgspec.json.encode(rows)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        kinds = {"Label": Label, "Prediction": Prediction}
        rows = msgspec.json.decode(entries["waiting"], type=list[tuple[str, str, bytes]])
        self.waiting = {k: msgspec.json.decode(v, type=kinds[kind]) for kind, k, v in rows}


class Learn:
    def __init__(self, freshness: int) -> None:
        self.freshness, self.total, self.fresh, self.n = freshness, 0.0, (0.0, 0), 0

    def handle(self, records: Sequence[Record]) -> Iterator[Out]:
        for r in records:
            if r.stream is CONTROL:
                yield Out(MODELS, ModelEvent(model=r.value.reason, state="shadow", time=T0), r)
                continue
            self.total += float(r.value.label)
            self.n += 1
            if self.n % self.freshness == 0:
                self.fresh = (self.total, self.n)
                yield Out(MODELS, self.fresh, r, durable=False)

    def resume(self) -> Iterable[Out]:
        return [Out(MODELS, self.fresh, Record(OUTCOMES, None), durable=False)]

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        yield "all", msgspec.json.encode((self.total, self.fresh, self.n))

    def restore(self, entries: Mapping[str, bytes]) -> None:
        kind = tuple[float, tuple[float, int], int]
        self.total, self.fresh, self.n = msgspec.json.decode(entries["all"], type=kind)


def toy_services(freshness: int) -> list[Service]:
    def service(
        name: str, reads: tuple[Stream, ...], writes: tuple[Stream, ...],
        build: Callable[[Problem, Tools], Stage],
    ) -> Service:  # fmt: skip
        return Service(name, reads, writes, "per-problem", 0, build)

    return [
        service("featurize", (EVENTS,), (FEATURES,), lambda p, t: Featurize()),
        service("score", (FEATURES, MODELS), (PREDICTIONS,), lambda p, t: Score()),
        service("join", (PREDICTIONS, LABELS), (OUTCOMES,), lambda p, t: Join()),
        service("learn", (OUTCOMES, CONTROL), (MODELS,), lambda p, t: Learn(freshness)),
    ]


def event(x: float) -> tuple[Stream, bytes]:
    return EVENTS, str(x).encode()


def label(n: int, y: float) -> tuple[Stream, bytes]:
    return LABELS, msgspec.json.encode(Label(id=f"e{n}", label=y))


def control(reason: str) -> tuple[Stream, bytes]:
    return CONTROL, msgspec.json.encode(Control(command="tick", time=T0, reason=reason))
