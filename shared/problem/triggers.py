"""What asks for a retraining; the policies behind it: `shared/evaluation/retraining`."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import Field

from shared.problem.inputs import Part


class OnDrift(Part):
    """Retrain when an alert of one of these causes and severities opens, after `settle` outcomes
    of the new regime have been seen.
    """

    on: Literal["drift"]
    causes: list[str] = Field(["source_break", "concept_drift", "input_drift"])
    severities: list[Literal["page", "warn", "evidence"]] = Field(["page"])
    settle: int = Field(1_000, ge=0)


class OnVolume(Part):
    """Retrain every `outcomes` new outcomes."""

    on: Literal["volume"]
    outcomes: int = Field(ge=10)


class OnGrowth(Part):
    """Retrain at `first` outcomes, then whenever there are `by` times as many as the last time, after
    `most` new ones at the latest. All fits together cost a few times what one on all rows costs.
    """

    on: Literal["growth"]
    first: int = Field(500, ge=50)
    by: float = Field(2.0, gt=1.0)
    most: int = Field(10_000, ge=10)


class OnSchedule(Part):
    """Retrain by a crontab expression, in event time in a replay, in wall time live."""

    on: Literal["schedule"]
    cron: str
    zone: str = "UTC"


class OnPerformance(Part):
    """Retrain when the mean loss of the newest `window` outcomes is `worse_by` above that of the first
    `window` after the last fit (the loss of the metric: for accuracy 0.02 is two points).
    """

    on: Literal["performance"]
    worse_by: float = Field(gt=0)
    window: int = Field(1_000, ge=50)


class OnCost(Part):
    """Retrain when the losses above those of a fresh fit have summed to the price of a fit; at once on
    an alert that errors rose, if what is lost until the next fit promises more than the price.

    `fit_price`: what a fit may cost, in the metric's loss (for accuracy in errors): seconds of a fit
    times the price of a second over the price of an error. `first`: outcomes before the first fit,
    from which the rest is learned.
    """

    on: Literal["cost"]
    fit_price: float = Field(gt=0)
    first: int = Field(2_000, ge=50)


SingleTrigger = Annotated[
    OnDrift | OnVolume | OnGrowth | OnSchedule | OnPerformance | OnCost,
    Field(discriminator="on"),
]


class OnVotes(Part):
    """Retrain when `need` of the triggers in `among` have asked within `within` outcomes."""

    on: Literal["votes"]
    among: list[SingleTrigger] = Field(min_length=2)
    need: int = Field(2, ge=2)
    within: int = Field(1_000, ge=1)


Trigger = Annotated[
    OnDrift | OnVolume | OnGrowth | OnSchedule | OnPerformance | OnCost | OnVotes,
    Field(discriminator="on"),
]


def fit_prices(triggers: Iterable[Trigger]) -> Iterator[float]:
    """What the triggers say of the price of a fit."""
    for trigger in triggers:
        if isinstance(trigger, OnCost):
            yield trigger.fit_price
        elif isinstance(trigger, OnVotes):
            yield from fit_prices(trigger.among)
