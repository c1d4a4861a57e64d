"""The problem file's section on events that are made up, with changes of the world at known places."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from shared.problem.inputs import Duration, Part
from shared.problem.mistakes import Mistake, Path

At = Annotated[int, Field(ge=1)]
"""The number of an event, counted from 0."""


class Abrupt(Part):
    """From the event `at` on, another concept, which answers half of all events otherwise."""

    kind: Literal["abrupt"]
    at: At


class Gradual(Part):
    """From `at` on, more and more events follow another concept; after `over` events all do."""

    kind: Literal["gradual"]
    at: At
    over: int = Field(1_000, ge=1)


class Recurring(Part):
    """From `at` on, the first concept again."""

    kind: Literal["recurring"]
    at: At


class LabelNoise(Part):
    """From `at` on (until the event `until`), a `share` of labels is drawn blindly."""

    kind: Literal["label_noise"]
    at: At
    share: float = Field(0.3, gt=0.0, le=1.0)
    until: At | None = None


class SchemaBreak(Part):
    """From `at` on (until the event `until`), the producer sends `field` otherwise: not at all, as a
    constant, as text, or in another unit (a thousand times as much).
    """

    kind: Literal["schema_break"]
    at: At
    field: str
    becomes: Literal["missing", "constant", "text", "scaled"]
    until: At | None = None


Change = Annotated[
    Abrupt | Gradual | Recurring | LabelNoise | SchemaBreak, Field(discriminator="kind")
]


class Generate(Part):
    """`rows` events with the fields `x0`, `x1`, ..., uniform on [0, 1], and a label that a concept
    decides: the side of a plane (binary), the highest of several planes (multiclass), or the height
    of one (regression). The same seed gives the same bytes; `changes` is the truth about them.
    """

    rows: int = Field(ge=1)
    seed: int = Field(1, ge=0)
    fields: int = Field(4, ge=2, le=1_000)
    every: Duration = timedelta(minutes=1)
    """Event time between two events."""
    noise: float = Field(0.05, ge=0.0, le=1.0)
    """Share of labels that are drawn blindly; in a regression: the noise's deviation."""
    changes: list[Change] = Field([])

    @property
    def names(self) -> tuple[str, ...]:
        """The fields of an event."""
        return tuple(f"x{number}" for number in range(self.fields))

    def concepts(self) -> list[Abrupt | Gradual | Recurring]:
        """The changes of the concept, in their order."""
        kinds = (Abrupt, Gradual, Recurring)
        found = [change for change in self.changes if isinstance(change, kinds)]
        return sorted(found, key=lambda change: change.at)


def generate_mistakes(generate: Generate) -> Iterator[Mistake]:
    """What the section's shape cannot say."""
    if generate.every <= timedelta(0):
        path: Path = ("source", "generate", "every")
        yield Mistake(path, "time must pass between two events", "a duration such as 1m")
    for index, change in enumerate(generate.changes):
        path = ("source", "generate", "changes", index)
        if change.at >= generate.rows:
            wrong = f"there are only {generate.rows:,} events, counted from 0"
            yield Mistake((*path, "at"), wrong, f"less than {generate.rows}")
        if (
            isinstance(change, LabelNoise | SchemaBreak)
            and (change.until or change.at + 1) <= change.at
        ):
            yield Mistake((*path, "until"), "it ends before it begins", f"more than {change.at}")
        if isinstance(change, SchemaBreak) and change.field not in generate.names:
            first, last = generate.names[0], generate.names[-1]
            yield Mistake(
                (*path, "field"), f"there is no field `{change.field}`", f"{first} to {last}"
            )
    changes = generate.concepts()
    for before, change in pairwise(changes):
        end = before.at + before.over if isinstance(before, Gradual) else before.at + 1
        if change.at < end:
            path = ("source", "generate", "changes", generate.changes.index(change), "at")
            yield Mistake(path, f"the change at {before.at} is not over", f"{end} or more")
