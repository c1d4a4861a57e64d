"""The problem file's sections on features that are derived from fields, the past and the time.

What a section adds to the numbers that a model sees is told by its `columns`; how they are computed
is `shared/features`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr

from shared.problem.durations import duration_text
from shared.problem.inputs import Duration, FieldSpec, Name, Part, ReferenceSpec


class Calendar(Part):
    """Parts of the event time in `zone`: cyclic parts give a sine and a cosine."""

    kind: Literal["calendar"]
    parts: list[Literal["minute", "hour", "time_of_day", "weekday", "day", "month", "weekend"]]
    zone: str = "UTC"

    def columns(self) -> tuple[str, ...]:
        """The features that this gives, in order."""
        ends = {"weekend": ("",)}
        return tuple(
            f"{part}{end}" for part in self.parts for end in ends.get(part, ("_sin", "_cos"))
        )


class Lags(Part):
    """Earlier values of `field` (a number, or an earlier feature) for the same key.

    `by` counts events back; `difference` adds now minus then.
    """

    kind: Literal["lags"]
    field: str
    by: list[Annotated[int, Field(ge=1, le=100_000)]]
    difference: bool = False

    def columns(self) -> tuple[str, ...]:
        """The features that this gives, in order."""
        lags = tuple(f"{self.field}_lag_{by}" for by in self.by)
        minus = tuple(f"{self.field}_minus_lag_{by}" for by in self.by)
        return lags + minus if self.difference else lags


Statistic = Literal[
    "count", "sum", "mean", "min", "max", "std", "range", "last", "trend", "rate",
    "distinct", "q05", "q25", "median", "q75", "q95",
]  # fmt: skip
IN_ORDER = frozenset({"distinct", "q05", "q25", "median", "q75", "q95"})
"""Statistics that need all values of the window, not only what they add up to."""


class Window(Part):
    """Statistics of `field` (a number, or an earlier feature) over the last `size` events, the last
    `span` of event time, the present `tumbling` tile of event time, or the present session (it ends
    after `session` without an event) of the same key; the event itself is included when `include_now`.
    """

    kind: Literal["window"]
    field: str
    of: list[Statistic]
    size: int | None = Field(None, ge=1, le=100_000)
    span: Duration | None = None
    tumbling: Duration | None = None
    session: Duration | None = None
    limit: int = Field(10_000, ge=1, le=1_000_000)
    """With `span`, and wherever quantiles or distinct values are asked for: at most this many newest
    events count (memory is bounded)."""
    include_now: bool = True
    minus_now: bool = False
    """Adds the present value minus the window's mean."""

    def columns(self) -> tuple[str, ...]:
        """The features that this gives, in order."""
        width = self.width
        names = tuple(f"{self.field}_{statistic}_{width}" for statistic in self.of)
        return (*names, f"{self.field}_minus_mean_{width}") if self.minus_now else names

    @property
    def width(self) -> str:
        """The end of the features' names."""
        if self.tumbling is not None:
            return f"tumbling_{duration_text(self.tumbling)}"
        if self.session is not None:
            return f"session_{duration_text(self.session)}"
        return str(self.size) if self.span is None else duration_text(self.span)


class Decayed(Part):
    """The mean of `field` for the same key, each value weighing half as much after every `half_life` of
    event time (exponentially weighted); the event itself is included.
    """

    kind: Literal["decayed"]
    field: str
    half_life: Duration

    def columns(self) -> tuple[str, ...]:
        """The one feature that this gives."""
        return (f"{self.field}_decayed_{duration_text(self.half_life)}",)


class Since(Part):
    """Seconds of event time since the last event of the same key, before this one, for which `formula`
    was true (without a formula: since the last event).
    """

    kind: Literal["since"]
    name: Name
    formula: str | None = None

    def columns(self) -> tuple[str, ...]:
        """The one feature that this gives."""
        return (self.name,)


class Expression(Part):
    """A formula over fields and earlier features, on an allow-list of operators (no `eval`)."""

    kind: Literal["expression"]
    name: Name
    formula: str

    def columns(self) -> tuple[str, ...]:
        """The one feature that this gives."""
        return (self.name,)


class Lookup(Part):
    """What a reference says of the key in the event's field `by` (else the reference's `key`), as of
    the event's time; missing where it says nothing.
    """

    kind: Literal["lookup"]
    reference: Name
    by: Name | None = None
    fields: list[Name] | None = Field(None, min_length=1)
    """None: all."""
    name: Name | None = None
    """The beginning of the features' names; None: the reference's name."""
    _specs: dict[str, FieldSpec] = PrivateAttr(default_factory=dict)

    @property
    def prefix(self) -> str:
        """The beginning of the features' names, and what the lookup is called."""
        return self.name or self.reference

    def resolve(self, references: Mapping[str, ReferenceSpec]) -> None:
        """Take what it finds from the declared references."""
        declared = references[self.reference].fields if self.reference in references else {}
        wanted = list(declared) if self.fields is None else self.fields
        self._specs = {name: declared[name] for name in wanted if name in declared}

    def found(self) -> dict[str, tuple[str, FieldSpec]]:
        """The fields that are found, under the names that formulas know them by."""
        return {f"{self.prefix}_{name}": (name, spec) for name, spec in self._specs.items()}

    def columns(self) -> tuple[str, ...]:
        """The features that this gives, in order."""
        found = self.found().items()
        return tuple(column for name, (_, spec) in found for column in spec.columns(name))


class Auto(Part):
    """Features made up from the number fields, at most `budget` columns: earlier values and changes,
    windows, differences and quotients of pairs; stacked `depth` deep (windows of changes, changes of
    windows). They stand behind the declared features, and are what one could have declared.
    """

    kind: Literal["auto"]
    budget: int = Field(50, ge=1, le=2_000)
    depth: int = Field(2, ge=1, le=3)
    lags: list[Annotated[int, Field(ge=1, le=100_000)]] = Field([1], min_length=1)
    """Events back."""
    spans: list[Duration] = Field([timedelta(hours=1), timedelta(days=1)], min_length=1)
    """Widths of sliding windows, in event time."""

    def columns(self) -> tuple[str, ...]:
        """None of its own."""
        return ()


Feature = Annotated[
    Calendar | Lags | Window | Decayed | Since | Lookup | Expression | Auto,
    Field(discriminator="kind"),
]
