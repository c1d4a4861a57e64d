"""The problem file's shape (DESIGN section 3.4), as pydantic models.

Durations are written `30m`, `2h`, `1d` (or ISO 8601, or seconds) and held as `timedelta`.
What a field or a feature adds to the numbers that a model sees is told by its `columns`; how they
are computed is `shared/features`.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from shared.problem.durations import duration_text, parse_duration
from shared.problem.scalars import identifier, scalar_text

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
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
    coerce: bool = False
    """Accept `"3.5"` for a number, `"true"` for a boolean, and so on."""
    unseen: Literal["reject", "other"] = "reject"
    """A value outside `categories`: reject the event, or let it pass as `other`."""
    missing: Literal["keep", "reject", "mean", "last"] = "keep"
    """A missing value: keep it missing, reject the event, or put the mean or the last value of the
    same key's past."""
    feature: bool = True
    """Whether the field itself is a feature (numbers as they are, categories encoded)."""
    encode: Literal["onehot", "hash", "frequency"] = "onehot"
    buckets: int = Field(16, ge=2, le=1_024)
    """With `encode: hash`: how many columns."""

    @property
    def formula_kind(self) -> FormulaKind:
        """What the field is in formulas: a time counts as seconds since 1970 (UTC)."""
        if self.type == "category":
            numbers = self.categories and not any(isinstance(v, str) for v in self.categories)
            return "number" if numbers else "text"
        kinds: dict[str, FormulaKind] = {"text": "text", "boolean": "boolean"}
        return kinds.get(self.type, "number")

    def columns(self, name: str) -> tuple[str, ...]:
        """The features that the field `name` itself gives."""
        if not self.feature or self.type in ("text", "time"):
            return ()
        if self.type != "category":
            return (name,)
        if self.encode == "hash":
            return tuple(f"{name}_hash_{bucket}" for bucket in range(self.buckets))
        if self.encode == "frequency":
            return (f"{name}_frequency",)
        values = [identifier(scalar_text(value)) for value in self.categories or ()]
        if self.unseen == "other":
            values.append("other")
        return tuple(f"{name}_is_{value}" for value in values)


class Check(Part):
    """A rule over one event. Violations go to `rejected`.

    `expression` must be true; where it cannot be told (a value is missing) the event passes. Or
    `function`, `module:name` in your own code: given the fields (read-only), it returns true, or
    false, or the reason as text.
    """

    name: Name
    expression: str | None = None
    function: str | None = Field(None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    reason: str = ""


class Events(Part):
    """How a producer's JSON maps onto id, time, key and fields."""

    id: str | None = None
    time: str | None = None
    key: str | None = None
    fields: dict[Name, FieldSpec]
    checks: list[Check] = []
    duplicate_window: int = Field(100_000, ge=1)
    """Ids remembered for the duplicate check, newest first."""
    allow_backwards: Duration = timedelta(0)
    """How far event time may fall behind the newest one of its key before the event is rejected."""
    allow_ahead: Duration | None = None
    """How far event time may lie ahead of the time of arrival; None: it is not checked."""
    max_bytes: int = Field(262_144, ge=64)
    max_keys: int = Field(10_000, ge=1)
    """Keys whose past is kept; the one that was silent longest (event time) is forgotten first."""


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


Statistic = Literal["count", "sum", "mean", "min", "max", "std", "range", "last", "trend"]


class Window(Part):
    """Statistics of `field` (a number, or an earlier feature) over the last `size` events, or the
    last `span` of event time, of the same key; the event itself is included when `include_now`.
    """

    kind: Literal["window"]
    field: str
    of: list[Statistic]
    size: int | None = Field(None, ge=1, le=100_000)
    span: Duration | None = None
    limit: int = Field(10_000, ge=1, le=1_000_000)
    """With `span`: at most this many newest events count (memory is bounded)."""
    include_now: bool = True
    minus_now: bool = False
    """Adds the present value minus the window's mean."""

    def columns(self) -> tuple[str, ...]:
        """The features that this gives, in order."""
        width = str(self.size) if self.span is None else duration_text(self.span)
        names = tuple(f"{self.field}_{statistic}_{width}" for statistic in self.of)
        return (*names, f"{self.field}_minus_mean_{width}") if self.minus_now else names


class Expression(Part):
    """A formula over fields and earlier features, on an allow-list of operators (no `eval`)."""

    kind: Literal["expression"]
    name: Name
    formula: str

    def columns(self) -> tuple[str, ...]:
        """The one feature that this gives."""
        return (self.name,)


Feature = Annotated[Calendar | Lags | Window | Expression, Field(discriminator="kind")]


class ModelSpec(Part):
    """The incremental pool. `freshness` F: an event is scored by a model that holds exactly the
    outcomes up to the last multiple of F that arrived before it (DESIGN section 5).
    """

    experts: list[str] = []
    freshness: int = Field(1, ge=1)
    seed: int = 1
    snapshot_every: int = Field(5_000, ge=1)
    """Outcomes between published snapshots."""


class Baseline(Part):
    """Rule baseline: `expression` gives the prediction without any learning."""

    name: Name = "rule"
    expression: str


class Evaluation(Part):
    """What counts as good. `window` is the number of recent outcomes in windowed figures."""

    metric: Literal["accuracy", "log_loss", "mae", "rmse"] | None = None
    window: int = Field(1_000, ge=10)
    rules: list[Baseline] = []
    holdback: float = Field(0.2, gt=0.0, lt=0.9)
    """Share of a dataset's newest rows that a candidate sees once, for acceptance."""


class Drift(Part):
    """Alarm budgets. `expected_run_length`: events between false alarms over all series together."""

    expected_run_length: int = Field(100_000, ge=100)
    reference: int = Field(2_000, ge=100)
    error_run_length: int = Field(20_000, ge=100)
    label_gap: int | None = Field(None, ge=1)
    """Predictions without any label that raise `label_delay`; None: learned from the past."""
    silence: Duration | None = None
    """Event-time or tick gap without events that raises `silence`."""


class OnDrift(Part):
    """Retrain when an alert of one of these causes and severities opens, after `settle` outcomes
    of the new regime have been seen.
    """

    on: Literal["drift"]
    causes: list[str] = ["source_break", "concept_drift", "input_drift"]
    severities: list[Literal["page", "warn", "evidence"]] = ["page"]
    settle: int = Field(1_000, ge=0)


class OnVolume(Part):
    """Retrain every `outcomes` new outcomes."""

    on: Literal["volume"]
    outcomes: int = Field(ge=10)


class OnSchedule(Part):
    """Retrain by a crontab expression, in event time in a replay, in wall time live."""

    on: Literal["schedule"]
    cron: str
    zone: str = "UTC"


Trigger = Annotated[OnDrift | OnVolume | OnSchedule, Field(discriminator="on")]


class Budget(Part):
    """Counted budgets decide results; `seconds` and `memory_mb` only fail a job visibly."""

    trials: int = Field(8, ge=1)
    rows: int = Field(20_000, ge=50)
    seconds: float = Field(120.0, gt=0)
    memory_mb: int = Field(2_048, ge=256)


class Retraining(Part):
    """When to retrain, on what, with which candidates."""

    triggers: list[Trigger] = []
    cooldown: int = Field(1_000, ge=0)
    """Outcomes between two requests."""
    effect_after: int = Field(200, ge=0)
    """In an embedded replay: outcomes from the request until the result takes effect."""
    window: int = Field(20_000, ge=50)
    """Newest outcomes in a dataset."""
    minimum: int = Field(500, ge=50)
    """A request with fewer outcomes than this is not made."""
    since_drift: bool = False
    """Leave out what lies before the newest page (if `minimum` rows remain)."""
    candidates: list[str] = ["logistic", "boosting", "forest"]
    budget: Budget = Budget()


class Acceptance(Part):
    """The offline test on the hold-back rows, the champion's published answers beside."""

    confidence: float = Field(0.9, gt=0.5, lt=1.0)
    min_gain: float = 0.0
    """Least mean gain in the metric's loss that the interval's lower end must exceed."""
    beat_baselines: bool = True
    max_latency_ms: float = Field(5.0, gt=0)


class Promotion(Part):
    """Shadow against champion on the same events, by an anytime-valid test."""

    policy: Literal["auto", "propose", "approve"] = "auto"
    alpha: float = Field(0.05, gt=0, lt=0.5)
    min_effect: float = Field(0.01, gt=0)
    """Smallest gain worth a switch; futility stops when less is evident. For accuracy in shares (0.01:
    one point); for other metrics in units of a large difference (the 95 % quantile of the first 256)."""
    min_pairs: int = Field(512, ge=32)
    max_pairs: int = Field(20_000, ge=64)
    max_shadows: int = Field(2, ge=1)
    watch_after: int = Field(2_000, ge=0)
    """Outcomes after a promotion during which the old champion stays in shadow for a rollback."""


class Retention(Part):
    """How much of the log is kept; a record goes only when archived and behind every checkpoint."""

    records: int | None = Field(None, ge=1_000)
    archive: bool = True


class Source(Part):
    """Where `headrace run` finds events when `--events` is not given; relative to this file."""

    path: str
    tick: Duration = timedelta(hours=1)
    """Event time between two ticks in a replay."""


class Problem(Part):
    """One problem: the whole file."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=48)]
    goal: str
    owner: str = ""
    task: Task
    source: Source | None = None
    events: Events
    label: LabelSpec
    features: list[Feature] = []
    model: ModelSpec = ModelSpec()
    evaluation: Evaluation = Evaluation()
    drift: Drift = Drift()
    retraining: Retraining = Retraining()
    acceptance: Acceptance = Acceptance()
    promotion: Promotion = Promotion()
    retention: Retention = Retention()
    notes: Any = None

    @property
    def metric(self) -> str:
        """The declared metric, else the task's usual one."""
        return self.evaluation.metric or ("mae" if self.task == "regression" else "accuracy")

    def formula_kinds(self, features: int | None = None) -> dict[str, FormulaKind]:
        """What formulas may name: the fields, and the first `features` features (None: all)."""
        kinds: dict[str, FormulaKind] = {}
        for name, spec in self.events.fields.items():
            kinds |= dict.fromkeys(spec.columns(name), "number")
            kinds[name] = spec.formula_kind
        for feature in self.features[:features]:
            kinds |= dict.fromkeys(feature.columns(), "number")
        return kinds

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The numbers that a model sees, in order: the fields' own, then the declared features'."""
        own = [spec.columns(name) for name, spec in self.events.fields.items()]
        return tuple(name for names in own for name in names) + tuple(
            name for feature in self.features for name in feature.columns()
        )

    def label_key(self, value: Scalar) -> str:
        """The canonical text of a class, as it stands in `probabilities`: `true`, `1`, `red`."""
        return scalar_text(value)
