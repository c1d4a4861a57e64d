"""The message classes: what travels on each stream, as JSON (DESIGN section 3.1).

Producers may add fields: unknown ones are ignored here and kept where the raw bytes are kept. Numbers
that JSON cannot hold (NaN, infinities) are written as null.

`gc=False`: messages are trees, so the search for reference cycles may pass over them.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

Value = bool | int | float | str
"""A label or a prediction: a class (any JSON scalar) or a number."""


class Label(msgspec.Struct, omit_defaults=True, gc=False):
    """The truth about one event. `revoked` takes the label back."""

    id: str
    label: Value | None = None
    time: datetime | None = None
    source: str | None = None
    revoked: bool = False


class Reference(msgspec.Struct, omit_defaults=True, gc=False):
    """What a declared reference says of one key from `time` on, until the key's next version.

    `time`: with an offset from UTC; without one the version holds from its arrival on. A version of the
    same key and time as one before corrects it. `removed`: from then on nothing is known of the key.
    """

    reference: str
    key: Value
    fields: dict[str, Any] = {}
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    removed: bool = False


Unfound = Literal["missing", "too_old"]
"""Why a lookup found nothing: there is no version as of the event's time, or it is kept no more."""


class LabelRequest(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """A label that would teach most: one of the budget of a window of event time, `rank` 1 the first.

    `uncertainty`: 0 to 1 for classes, the interval's width for numbers. It is answered with an ordinary
    label for `id`.
    """

    id: str
    time: datetime
    rank: int
    uncertainty: float
    start: datetime
    end: datetime
    model: str
    prediction: Value | None
    features: dict[str, float | None]
    key: str | None = None
    probabilities: dict[str, float] | None = None
    interval: tuple[float, float] | None = None


class Valid(msgspec.Struct, omit_defaults=True, gc=False):
    """An event that passed every check: declared fields coerced, others as they came."""

    id: str
    time: datetime
    fields: dict[str, Any]
    key: str | None = None
    late: bool = False
    source: str | None = None
    """What the key `events.environment` says, if one is declared."""


class Features(msgspec.Struct, omit_defaults=True, gc=False):
    """The numbers a model sees; None is missing. `feature_set` is the digest of their definition.
    `fields`: see `Prediction`.

    Where something is looked up, `references` is the offset up to which the topic `references` had
    been read, and `unfound` says which lookups found nothing, and why.
    """

    id: str
    time: datetime
    features: dict[str, float | None]
    feature_set: str
    key: str | None = None
    source: str | None = None
    fields: dict[str, Any] | None = None
    references: int | None = None
    unfound: dict[str, Unfound] | None = None


class Prediction(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """One inference, with everything needed to explain and to repeat it.

    `shadow` maps a challenger's version to what it would have said. `said` holds what the experts and
    the stackers' members said, for learning when the label comes (base64; `shared/models/said.py`),
    `arrival` how the event looked then, beside those before it (base64; `shared/models/arrival.py`).
    `scored_at` is wall-clock time and takes no part in digests. `champion` is there when another
    version answers in its place: a canary, or a stand-in where the champion's numbers are none.
    `shadow` holds what the champion said then. `fields`: of a share of the events (`profile.share`)
    what cleaning and encoding hid, as it came; of free text a hash. Outcomes do without it.
    `references`, `unfound`: as in `Features`.
    """

    id: str
    time: datetime
    prediction: Value | None
    model: str
    features: dict[str, float | None]
    feature_set: str
    key: str | None = None
    source: str | None = None
    probabilities: dict[str, float] | None = None
    interval: tuple[float, float] | None = None
    shadow: dict[str, Any] | None = None
    rules: list[str] | None = None
    said: str | None = None
    arrival: str | None = None
    scored_at: datetime | None = None
    champion: str | None = None
    fields: dict[str, Any] | None = None
    references: int | None = None
    unfound: dict[str, Unfound] | None = None


class Outcome(Prediction, kw_only=True, gc=False):
    """A prediction with its label: the training set, one totally ordered partition a problem.

    `revision` is 0 for the first label, then counts corrections. `label` None: revoked. `replaced` is
    the label that stood before a correction (None: none did).
    """

    label: Value | None = None
    labelled_at: datetime | None = None
    revision: int = 0
    default: bool = False
    replaced: Value | None = None


class Rejected(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """A record that could not be used; `raw` is its bytes in base64, cut at `raw_limit_bytes`."""

    reason: str
    check: str
    raw: str
    topic: str
    partition: int
    offset: int
    field: str | None = None
    raw_size_bytes: int | None = None
    raw_sha256: str | None = None


class AuditedFeature(msgspec.Struct, omit_defaults=True, gc=False):
    """How often a served feature was not what raw events give, and one event where it was not.

    `mismatch`: another number; `missing`: none where there is one; `extra`: one where there is none.
    """

    feature: str
    mismatch: int = 0
    missing: int = 0
    extra: int = 0
    id: str = ""
    served: float | None = None
    expected: float | None = None


class Audit(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """Served features beside those recomputed from raw events, over one window of event time.

    `features`: those that differ, of `compared` predictions. `unmatched`: predictions whose raw event
    was not found. `unfounded`: those not compared, since the auditor began after their past. `foreign`:
    predictions made with another definition of the features (`feature_set`).
    """

    start: datetime
    end: datetime
    compared: int
    features: list[AuditedFeature] = []
    unmatched: int = 0
    unfounded: int = 0
    foreign: int = 0
    feature_set: str = ""
    partition: int = 0


class RankedFeature(msgspec.Struct, omit_defaults=True, gc=False):
    """A feature named by an alert; `evidence` is the detector's own scale, larger is stronger."""

    feature: str
    evidence: float
    detail: str = ""


CauseClass = Literal[
    "source_break",
    "input_drift",
    "concept_drift",
    "label_delay",
    "data_quality",
    "silence",
    "untrusted_artefact",
    "model_fault",
]
Severity = Literal["page", "warn", "evidence"]


class Alert(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """Something changed. One `alert` id per episode; later records of the same id update it."""

    alert: str
    kind: str
    cause: CauseClass
    severity: Severity
    state: Literal["open", "acknowledged", "resolved"]
    since: datetime
    time: datetime
    series: str
    features: list[RankedFeature] = []
    evidence: dict[str, Any] = {}
    runbook: str = ""
    text: str = ""


class Job(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """One retraining job; records of the same `job` id are its history.

    `start`/`end` are offsets of `outcomes` (end excluded): the dataset. `effective` is the outcome
    count at which the result takes effect in an embedded replay (DESIGN section 5). `settled`: what the
    job gained and its price are known (`evidence`). `signature`: on verdicts and accounts, as on a
    model's step.
    """

    job: str
    state: Literal[
        "requested", "running", "trained", "accepted", "rejected", "failed", "cancelled", "settled"
    ]
    reason: str
    trigger: str
    time: datetime
    start: int = 0
    end: int = 0
    effective: int | None = None
    model: str | None = None
    evidence: dict[str, Any] = {}
    signature: dict[str, str] | None = None


class ModelEvent(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """A step in a model's life. `blob` is the content hash of its artefact or snapshot.

    `outcomes` is how many outcomes are included. `state`: `snapshot` (learner: everything live as of
    `outcomes`), `shadow` (accepted offline, now scoring beside the champion), `proposed` (won there,
    waits for a person), `canary` (answers a share of the events), `champion`, `rejected`, `retired`.
    `signature` covers all the rest of a decision (`shared/registry/decisions.py`).
    """

    model: str
    state: Literal["snapshot", "shadow", "proposed", "canary", "champion", "rejected", "retired"]
    time: datetime
    outcomes: int = 0
    blob: str | None = None
    parent: str | None = None
    job: str | None = None
    reason: str = ""
    by: str = ""
    champion: str | None = None
    shadows: list[str] = []
    classes: list[Value] = []
    evidence: dict[str, Any] = {}
    manifest: dict[str, Any] | None = None
    signature: dict[str, str] | None = None


class Control(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """What a clock, a source or an operator says. Commands are records, so a replay repeats them.

    `start` opens a run (`details.mode`: `replay` or `live`); `tick` is time passing; `end` closes a
    finite source; `trained` (live) says that the result of the job `target` is there; the others are
    operators' commands on the model, alert or job named by `target`.
    """

    command: Literal[
        "start",
        "tick",
        "end",
        "trained",
        "promote",
        "rollback",
        "reject",
        "retrain",
        "cancel",
        "acknowledge",
        "resolve",
    ]
    time: datetime
    by: str = ""
    target: str | None = None
    reason: str = ""
    details: dict[str, Any] = {}
