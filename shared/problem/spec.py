"""The problem file's shape (DESIGN section 3.4), as pydantic models.

Durations are written `30m`, `2h`, `1d` (or ISO 8601, or seconds) and held as `timedelta`. The sections
on events and labels are in `inputs.py`, those on features in `derived.py`, on a source in `origin.py`;
all are to be had here.
"""

from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from shared.problem.auto import made_up
from shared.problem.derived import (
    Auto,
    Calendar,
    Decayed,
    Expression,
    Feature,
    Lags,
    Lookup,
    Since,
    Statistic,
    Window,
)
from shared.problem.inputs import (
    AuditSpec,
    Check,
    Duration,
    Events,
    FieldSpec,
    FormulaKind,
    LabelSpec,
    Name,
    Part,
    ReferenceSpec,
    Scalar,
    Task,
)
from shared.problem.origin import Source
from shared.problem.promotion import Canary, Guard, Metric, Promotion
from shared.problem.scalars import identifier, scalar_text
from shared.problem.search import SearchSpec
from shared.problem.selection import Selection
from shared.problem.triggers import (
    OnCost,
    OnDrift,
    OnGrowth,
    OnPerformance,
    OnSchedule,
    OnVolume,
    OnVotes,
    Trigger,
    fit_prices,
)

__all__ = [
    "AuditSpec",
    "Auto",
    "Calendar",
    "Canary",
    "Check",
    "Decayed",
    "Duration",
    "Events",
    "Expression",
    "Feature",
    "FieldSpec",
    "FormulaKind",
    "Guard",
    "LabelSpec",
    "Lags",
    "Lookup",
    "Name",
    "OnCost",
    "OnDrift",
    "OnGrowth",
    "OnPerformance",
    "OnSchedule",
    "OnVolume",
    "OnVotes",
    "Part",
    "Promotion",
    "ReferenceSpec",
    "Scalar",
    "SearchSpec",
    "Selection",
    "Since",
    "Source",
    "Statistic",
    "Task",
    "Trigger",
    "Window",
]


class ModelSpec(Part):
    """The incremental pool. `freshness` F: an event is scored by a model that holds exactly the
    outcomes up to the last multiple of F that arrived before it (DESIGN section 5).
    """

    experts: list[str] = Field([])
    freshness: int = Field(1, ge=1)
    seed: int = 1
    snapshot_every: int = Field(10_000, ge=1)
    """Outcomes between published snapshots."""
    publish_every: int = Field(256, ge=1)
    """The same where the scorer is another process than the learner: its freshness there."""


class Baseline(Part):
    """Rule baseline: `expression` gives the prediction without any learning."""

    name: Name = "rule"
    expression: str


class Slice(Part):
    """A part of the events, watched by itself: where `expression` (over the features) is true."""

    name: Name
    expression: str


class Evaluation(Part):
    """What counts as good. `window` is the number of recent outcomes in windowed figures."""

    metric: Metric | None = None
    window: int = Field(1_000, ge=10)
    rules: list[Baseline] = Field([])
    slices: list[Slice] = Field([])
    minimum_support: int = Field(30, ge=1)
    """Labels below which no figure of a class or a slice is shown."""
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


class Budget(Part):
    """Counted budgets decide results; `seconds` and `memory_mb` only fail a job visibly."""

    trials: int = Field(8, ge=1)
    rows: int = Field(20_000, ge=50)
    seconds: float = Field(120.0, gt=0)
    memory_mb: int = Field(2_048, ge=256)


class Retraining(Part):
    """When to retrain, on what, with which candidates."""

    triggers: list[Trigger] = Field([])
    cooldown: int = Field(1_000, ge=0)
    """Outcomes between two requests."""
    effect_after: int = Field(200, ge=0)
    """In an embedded replay: outcomes from the request until the result takes effect."""
    window: int = Field(20_000, ge=50)
    """Newest outcomes that a dataset is chosen from."""
    selection: Selection = Selection()
    minimum: int = Field(500, ge=50)
    """A request with fewer outcomes than this is not made."""
    since_drift: bool = False
    """Leave out what lies before the newest page (if `minimum` rows remain)."""
    candidates: list[str] = Field(["logistic", "boosting", "forest", "view-boosting"])
    """Families that are tried at their defaults: logistic, ridge, tree, forest, boosting, svm,
    neural_net, neighbours, naive_bayes; with `view-` before the name on the view of the events."""
    search: SearchSpec | None = None
    """None: only the defaults."""
    false_discovery: float | None = Field(None, gt=0.0, lt=1.0)
    """A candidate is given only the features that tell something of the label; of those that it is
    given this share at most is expected to tell nothing (Benjamini and Hochberg, 1995). None: all
    features, or 0.05 where some are made up (`kind: auto`)."""
    fit_price: float | None = Field(None, gt=0)
    """What a fit may cost, in the metric's loss (for accuracy in errors): what a job gained is set
    against it. None: the `fit_price` of the trigger `cost`, where there is one."""
    keep_estimator: bool = False
    """Beside the arrays that are served, keep scikit-learn's own object of each accepted model (skops),
    for use elsewhere; a second of CPU a job."""
    budget: Budget = Budget()

    @property
    def price(self) -> float | None:
        """Of one fit, in the metric's loss; None: nobody has said it."""
        return self.fit_price or next(fit_prices(self.triggers), None)


class Acceptance(Part):
    """The offline test on the hold-back rows, the champion's published answers beside."""

    confidence: float = Field(0.9, gt=0.5, lt=1.0)
    min_gain: float = 0.0
    """Least mean gain in the metric's loss that the interval's lower end must exceed."""
    beat_baselines: bool = True
    max_latency_ms: float = Field(5.0, gt=0)
    """CPU time that the model may take for one event, in the form in which it is served."""
    max_model_mb: float = Field(32.0, gt=0)
    """Memory that it may take in every scorer."""


class ProfileSpec(Part):
    """What the data looks like, by feature and tile of event time. `tile`: the shortest one; older
    ones are doubled, so that ten of each length are kept at most. `share`: of how many events the
    fields are profiled as they came, where features do not show them (by a hash of the ids).
    """

    tile: Duration = Field(timedelta(days=1), gt=timedelta(0))
    share: float = Field(0.1, ge=0.0, le=1.0)


class Retention(Part):
    """How much of the log is kept; a record goes only when archived and behind every checkpoint."""

    records: int | None = Field(None, ge=1_000)
    archive: bool = True


class Problem(Part):
    """One problem: the whole file."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=48)]
    goal: str
    owner: str = ""
    task: Task
    source: Source | None = None
    events: Events
    references: dict[Name, ReferenceSpec] = Field({})
    label: LabelSpec
    features: list[Feature] = Field([])
    model: ModelSpec = ModelSpec()
    evaluation: Evaluation = Evaluation()
    drift: Drift = Drift()
    retraining: Retraining = Retraining()
    acceptance: Acceptance = Acceptance()
    promotion: Promotion = Promotion()
    profile: ProfileSpec = ProfileSpec()
    retention: Retention = Retention()
    audit: AuditSpec = AuditSpec()
    notes: Any = None

    @model_validator(mode="after")
    def _with_resolved_lookups(self) -> Self:
        for lookup in self.lookups:
            lookup.resolve(self.references)
        return self

    @model_validator(mode="after")
    def _with_made_up_features(self) -> Self:
        """What `auto` makes up stands behind what is declared, as if it had been declared."""
        features = self.features
        for auto in [feature for feature in features if isinstance(feature, Auto)]:
            features = [*features, *made_up(auto, self.events.fields, features)]
        self.__dict__["features"] = features  # frozen once it is validated
        return self

    @property
    def metric(self) -> str:
        """The declared metric, else the task's usual one."""
        return self.evaluation.metric or ("mae" if self.task == "regression" else "accuracy")

    @property
    def false_discovery(self) -> float | None:
        """The declared rate, else the usual one where features are made up; None: all are given."""
        made_up_too = any(isinstance(feature, Auto) for feature in self.features)
        return self.retraining.false_discovery or (0.05 if made_up_too else None)

    def formula_kinds(self, features: int | None = None) -> dict[str, FormulaKind]:
        """What formulas may name: the fields, and the first `features` features (None: all)."""
        kinds: dict[str, FormulaKind] = {}
        for name, spec in self.events.fields.items():
            kinds |= dict.fromkeys(spec.columns(name), "number")
            kinds[name] = spec.formula_kind
        for feature in self.features[:features]:
            kinds |= dict.fromkeys(feature.columns(), "number")
            if isinstance(feature, Lookup):
                kinds |= {name: spec.formula_kind for name, (_, spec) in feature.found().items()}
        return kinds

    @property
    def lookups(self) -> list[Lookup]:
        """The features that look something up."""
        return [feature for feature in self.features if isinstance(feature, Lookup)]

    @property
    def is_made_up(self) -> bool:
        """Its events are generated: there is no file, and no producer."""
        return self.source is not None and self.source.generate is not None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What the featurizer makes, in order: the fields' own numbers, then the declared features'."""
        own = [spec.columns(name) for name, spec in self.events.fields.items()]
        return tuple(name for names in own for name in names) + tuple(
            name for feature in self.features for name in feature.columns()
        )

    @property
    def by_target(self) -> dict[str, FieldSpec]:
        """The fields that are encoded by their labels: of them the featurizer gives a code only."""
        return {
            name: spec
            for name, spec in self.events.fields.items()
            if spec.type == "category" and spec.feature and spec.encode == "target"
        }

    def target_columns(self, name: str) -> tuple[str, ...]:
        """What a model sees of such a field: one column, in multiclass one a declared class."""
        if self.task != "multiclass":
            return (f"{name}_target",)
        classes = [identifier(scalar_text(value)) for value in self.label.classes or ()]
        return tuple(f"{name}_target_{value}" for value in classes)

    @property
    def learned_names(self) -> tuple[str, ...]:
        """Those columns of all such fields: they come from labels, with the model."""
        return tuple(column for name in self.by_target for column in self.target_columns(name))

    @property
    def model_names(self) -> tuple[str, ...]:
        """The numbers that a model sees, in order: the features, with codes by what they stand for."""
        instead = {
            spec.encoded(name)[0]: self.target_columns(name)
            for name, spec in self.by_target.items()
        }
        return tuple(
            column for name in self.feature_names for column in instead.get(name, (name,))
        )

    def label_key(self, value: Scalar) -> str:
        """The canonical text of a class, as it stands in `probabilities`: `true`, `1`, `red`."""
        return scalar_text(value)
