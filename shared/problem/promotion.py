"""How a version comes to serve: the test, the guards, the canary, and who decides."""

from typing import Literal

from pydantic import Field

from shared.problem.inputs import Part

Metric = Literal["accuracy", "log_loss", "mae", "rmse"]


class Guard(Part):
    """A second metric: a version that is proved worse in it is not promoted, and is rolled back if it
    was, whatever it gains in the declared one. `tolerance`: worse by so much is let pass, in the
    units of `promotion.min_effect`.
    """

    metric: Metric
    tolerance: float = Field(0.0, ge=0)


class Canary(Part):
    """A shadow that won answers this share of the events before it takes over.

    The share is sticky: of the keys (`by: event`: of the ids) those with a small hash, always the same
    ones while it lasts. And it is a limit: at no time has a canary answered more than this share of
    the events since it began, however unequal the keys.
    """

    share: float = Field(0.05, gt=0, le=0.5)
    by: Literal["key", "event"] = "key"
    pairs: int = Field(1_000, ge=32)
    """Labelled events with both answers on which it must not be found worse."""


class Estimated(Part):
    """A canary or new champion against the version before it on events whose labels have not come: by
    what both stated of their answers, and what that was worth so far.
    """

    events: int = Field(500, ge=100, le=10_000)
    """Length of a window; each is looked at once."""
    tolerance: float = Field(0.0, ge=0)
    """Expected to be worse by so much is let pass: in shares (0.01: one point), or the label's unit."""
    rollback: bool = False
    """False: an alert only. True: it also ends the canary, or takes the champion back."""


class Promotion(Part):
    """Shadow against champion on the same events, by an anytime-valid test.

    `auto`: who wins takes over. `propose`: who wins waits for `headrace models promote`, then it
    goes on by itself. `approve`: the canary begins by itself, a person has the last word. A rollback
    waits for nobody.
    """

    policy: Literal["auto", "propose", "approve"] = "auto"
    alpha: float = Field(0.05, gt=0, lt=0.5)
    min_effect: float = Field(0.01, gt=0)
    """Smallest gain worth a switch; futility stops when less is evident. For accuracy in shares
    (0.01: one point); for other metrics in units of a large difference (the 95 % quantile of the
    first 256)."""
    min_pairs: int = Field(2_048, ge=32)
    """Twice what errors are known to come in runs of; better 8 times the longest regime (day, week)."""
    max_pairs: int = Field(20_000, ge=64)
    max_shadows: int = Field(2, ge=1)
    guards: list[Guard] = Field([])
    restart_on_drift: bool = True
    """A page of drift starts the pairs of every contest anew: those before it are another world's."""
    watch_after: int = Field(2_000, ge=0)
    """Outcomes after a promotion during which the old champion stays in shadow for a rollback."""
    rollback_pairs: int = Field(512, ge=32)
    """As `min_pairs`, for going back."""
    canary: Canary | None = None
    """None: from shadow to champion in one step. Both answers are known of every event either way."""
    estimated: Estimated = Estimated()
    """Regression by estimate, without labels."""
