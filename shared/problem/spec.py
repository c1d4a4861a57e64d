"""The problem file's shape (DESIGN section 3.4), as pydantic models.

Durations are written `30m`, `2h`, `1d` (or ISO 8601, or seconds) and held as `timedelta`.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from shared.problem.durations import parse_duration

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Task = Literal["binary", "multiclass", "regression"]
Scalar = bool | int | float | str
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]


class Part(BaseModel):
    """Base of every section: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldSpec(Part):
    """One field of an event. `range` is inclusive; `clean` says what to do with a missing value."""

    type: Literal["number", "integer", "boolean", "category", "text", "time"]
    description: str = ""
    unit: str | None = None
    required: bool = True
    range: tuple[float | None, float | None] | None = None
    categories: list[Scalar] | None = None
    coerce: bool = False
    """Accept `"3.5"` for a number, `"true"` for a boolean, and so on."""
    missing: Literal["keep", "reject", "mean", "last"] = "keep"
    """What the featurizer puts for a missing value: keep it missing, or a value of the past only."""
    feature: bool = True
    """Whether the field itself is a feature (numbers as they are, categories encoded)."""
    encode: Literal["onehot", "hash", "frequency"] = "onehot"


class Check(Part):
    """A rule over one event: `expression` must be true. Violations go to `rejected`."""

    name: Name
    expression: str
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
    max_bytes: int = Field(262_144, ge=64)


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


class Lags(Part):
    """Earlier values of `field` for the same key; `by` counts events back; `difference` adds
    now minus then.
    """

    kind: Literal["lags"]
    field: str
    by: list[Annotated[int, Field(ge=1, le=100_000)]]
    difference: bool = False


Statistic = Literal["count", "sum", "mean", "min", "max", "std", "range", "last", "trend"]


class Window(Part):
    """Statistics of `field` over the last `size` events, or the last `span` of event time, of the
    same key; the event itself is included when `include_now`.
    """

    kind: Literal["window"]
    field: str
    of: list[Statistic]
    size: int | None = Field(None, ge=1, le=100_000)
    span: Duration | None = None
    include_now: bool = True
    minus_now: bool = False
    """Adds the present value minus the window's mean."""


class Expression(Part):
    """A formula over fields and earlier features, on an allow-list of operators (no `eval`)."""

    kind: Literal["expression"]
    name: Name
    formula: str


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
    """Smallest gain worth a switch; futility stops when less is evident."""
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
