"""The problem file on what comes in: events, their fields and checks, labels, and its audit."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from shared.problem.durations import DURATION_SCHEMA, parse_duration
from shared.problem.scalars import identifier, scalar_text

Duration = Annotated[timedelta, BeforeValidator(parse_duration), WithJsonSchema(DURATION_SCHEMA)]
Task = Literal["binary", "multiclass", "regression"]
Scalar = bool | int | float | str
FormulaKind = Literal["number", "boolean", "text"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]


class Part(BaseModel):
    """Base of every section: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldSpec(Part):
    """One field of an event. `range` is inclusive. A field that is null counts as missing."""

    type: Literal["number", "integer", "boolean", "category", "text", "time"]
    description: str = ""
    unit: str | None = None
    required: bool = True
    """Whether the event must have this key. (A null is missing: `missing` decides on it.)"""
    range: tuple[float | None, float | None] | None = None
    categories: list[Scalar] | None = None
    pattern: str | None = None
    """A regular expression (RE2 syntax, matched in linear time) that the whole text must match."""
    absent_in: list[str] = []
    """Environments (see `events.environment`) in which the field may be missing all the same."""
    coerce: bool = False
    """Accept `"3.5"` for a number, `"true"` for a boolean, and so on."""
    unseen: Literal["reject", "other"] = "reject"
    """A value outside `categories`: reject the event, or let it pass as `other`."""
    missing: Literal["keep", "reject", "flag", "mean", "median", "mode", "last"] = "keep"
    """A missing value: keep it missing, reject the event, keep it and add the feature `..._missing`, or
    put the mean, the last value, or the median or most frequent of the newest 101 of the same key's
    past."""
    outliers: Literal["keep", "clip", "flag", "reject"] = "keep"
    """A number more than `outlier_limit` deviations from the mean of the same key's past (30 values or
    more): clip it there, add the feature `..._outlier`, or reject the event. What is remembered of it
    is the clipped value, so a lasting change of level is followed; where it is rejected, it is not."""
    outlier_limit: float = Field(5.0, gt=0)
    scale: Literal["standard", "minmax"] | None = None
    """The feature is `..._scaled`: by mean and deviation, or least and greatest, of the same key's
    past. Formulas, lags and windows see the number as it is."""
    feature: bool = True
    """Whether the field itself is a feature (numbers as they are, categories encoded)."""
    encode: Literal["onehot", "hash", "frequency", "target"] = "onehot"
    """A category as a column a value, a column a bucket of its hash, its share so far, or what its
    labels were that had come by then (binary: the share of the second class; multiclass: of each;
    numbers: their mean)."""
    buckets: int = Field(16, ge=2, le=1_024)
    """With `encode: hash`: how many columns."""
    smoothing: float = Field(10.0, gt=0)
    """With `encode: target`: as how many labels the mean of all labels counts beside a value's own."""

    @property
    def formula_kind(self) -> FormulaKind:
        """What the field is in formulas: a time counts as seconds since 1970 (UTC)."""
        if self.type == "category":
            texts = any(isinstance(value, str) for value in self.categories or ("",))
            return "text" if texts or self.unseen == "other" else "number"
        kinds: dict[str, FormulaKind] = {"text": "text", "boolean": "boolean"}
        return kinds.get(self.type, "number")

    def columns(self, name: str) -> tuple[str, ...]:
        """The features that the field `name` itself gives."""
        if not self.feature or self.type in ("text", "time"):
            return ()
        flags = [f"{name}_missing"] if self.missing == "flag" else []
        if self.outliers == "flag":
            flags.append(f"{name}_outlier")
        own = self.encoded(name) if self.type == "category" else (name,)
        return (*((f"{name}_scaled",) if self.scale else own), *flags)

    def encoded(self, name: str) -> tuple[str, ...]:
        """The columns that a category's values become."""
        if self.encode == "hash":
            return tuple(f"{name}_hash_{bucket}" for bucket in range(self.buckets))
        if self.encode == "frequency":
            return (f"{name}_frequency",)
        if self.encode == "target":
            return (f"{name}_code",)
        values = [identifier(scalar_text(value)) for value in self.categories or ()]
        if self.unseen == "other":
            values.append("other")
        return tuple(f"{name}_is_{value}" for value in values)


class Check(Part):
    """A rule over one event. Violations go to `rejected`.

    `expression` must be true; where it cannot be told (a value is missing) the event passes. Or
    `function`, `module:name` in your own code: given the fields (read-only), it returns true, or
    false, or the reason as text. With `window` it is given a list of the newest events of the same key
    that were accepted, oldest first, at most so many, this one last.
    """

    name: Name
    expression: str | None = None
    function: str | None = Field(None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    window: int | None = Field(None, ge=2, le=1_000)
    reason: str = ""


class Events(Part):
    """How a producer's JSON maps onto id, time, key and fields."""

    id: str | None = None
    time: str | None = None
    key: str | None = None
    environment: str | None = None
    """The JSON key that says where an event comes from (`training`, `serving`); see `absent_in`."""
    fields: dict[Name, FieldSpec]
    checks: list[Check] = []
    duplicate_window: int = Field(100_000, ge=1)
    """Ids remembered for the duplicate check, newest first."""
    allow_backwards: Duration = timedelta(0)
    """How far event time may fall behind the newest one of its key before the event is rejected."""
    allow_late: Duration | None = None
    """How far event time may fall behind the watermark, the newest event time of its partition, before
    the event is rejected; None: it is not checked. Declare `allow_ahead` too, or one wild time makes
    all that follows late."""
    idle_after: Duration | None = None
    """Time of arrival without an accepted event after which a partition is idle: its watermark does
    not hold any more, and begins anew with the next event."""
    allow_ahead: Duration | None = None
    """How far event time may lie ahead of the time of arrival; None: it is not checked."""
    max_bytes: int = Field(262_144, ge=64)
    max_keys: int = Field(10_000, ge=1)
    """Keys whose past is kept; the one that was silent longest (event time) is forgotten first."""
    expire: Duration | None = None
    """A key is forgotten when it was silent for longer than this, by the newest event time of its
    partition; None: only to make room. Declare `allow_ahead` too, or one wild time makes all expire."""


class ReferenceSpec(Part):
    """A table of facts that change slowly, by key: what is known of a customer, a product, a machine.

    Its records come on the topic `references`, each a version that holds from a time on; a feature of
    `kind: lookup` finds the version that held at an event's time. Of each key the `keep` newest
    versions are kept; of an event that is older than those nothing is found.
    """

    key: Name
    """The field of an event by whose value it is looked up; in `path` the column that has the key."""
    fields: dict[Name, FieldSpec]
    """What a version says. `required`, `range`, `categories`, `pattern` and `coerce` decide which
    records are rejected; `missing: reject` and `flag` work as in events."""
    keep: int = Field(10, ge=1, le=1_000)
    expire: Duration | None = None
    """A version that was superseded longer ago than this is not found any more, by the time of arrival
    of the newest reference; None: only `keep` counts."""
    max_keys: int = Field(100_000, ge=1)
    """The key whose newest version came longest ago is forgotten for a new one."""
    path: str | None = None
    """In a file replay: a CSV, JSONL or Parquet file of versions, beside the problem file."""
    time: str | None = None
    """The column of `path` with the time from which a row holds; None: from the first event on."""


class LabelRequests(Part):
    """Which labels to ask for (topic `label_requests`): in each window of event time the `budget`
    predictions without a label about which the model was least sure.

    `by` (classes): the margin between the two likeliest, the entropy of all, or how far the likeliest
    is from 1. For numbers it is the width of the published interval.
    """

    budget: int = Field(ge=1, le=10_000)
    window: Duration = timedelta(days=1)
    by: Literal["margin", "entropy", "least_confidence"] = "margin"


class LabelSpec(Part):
    """What is to be predicted, and how the truth arrives."""

    field: str
    """In a file replay: the column that holds the truth; it is taken out of the event."""
    classes: list[Scalar] | None = None
    range: tuple[float | None, float | None] | None = None
    delay: Duration = timedelta(0)
    """In a file replay: how long after its event the label is sent."""
    delay_events: int | None = Field(None, ge=0)
    """In a file replay: the same as a number of events (instead of `delay`)."""
    wait: Duration | None = None
    """How long to wait for a label (event time); then `default` is taken, or nothing."""
    default: Scalar | None = None
    revisions: int = Field(0, ge=0)
    """How many corrections of one label are allowed."""
    early: int = Field(10_000, ge=0)
    """How many labels that arrive before their event are kept waiting."""
    conflict: Literal["first", "newest", "priority", "majority", "median"] = "first"
    """Which label stands where several came for one event. `first`: the first, then corrections in the
    order of arrival (`revisions`). The others weigh what each labeller (`source`) said last, whatever
    the order of arrival: the newest, the one of the labeller named first, the most frequent class, the
    middle number."""
    labellers: list[str] = []
    """For `priority` and for ties, the most trusted first; who is not named comes after them."""
    requests: LabelRequests | None = None
    """Active learning: which labels to ask people for. None: none."""


class AuditSpec(Part):
    """How much of what was served is recomputed from raw events, and over how long it is reported.

    `share` is a share of the keys, by hash. Where there are few (no key, or one of up to 16 declared
    categories), and where a feature counts over all keys, every key is followed and `share` is one of
    the events that are compared. 0: no audit.
    """

    share: float = Field(0.1, ge=0.0, le=1.0)
    window: Duration = timedelta(days=1)
