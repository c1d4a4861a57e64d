"""What retrainings really gained, job by job and policy by policy: read from `settled` records."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from shared.messages.types import Job

_UNITS = {
    "accuracy": "errors",
    "log_loss": "nats of log loss",
    "mae": "of absolute error",
    "rmse": "of squared error",
}


def unit(metric: str) -> str:
    """What a sum of the metric's losses counts."""
    return _UNITS[metric]


def told(account: Mapping[str, Any]) -> str:
    """The account of one job in a sentence or two."""
    price, net = account.get("price"), account.get("net")
    costs = "no price of a fit is declared" if price is None else f"a fit may cost {price:,.4g}"
    sums = costs if net is None else f"{costs}: net {net:+,.4g}"
    if account.get("verdict") == "failed":
        return f"gained nothing, the job failed; {sums}"
    if account.get("verdict") == "rejected":
        return f"gained nothing, the candidate was rejected; {sums}"
    if account.get("gained") is None:
        return f"what it gained is not known: no event was answered by both champions; {sums}"
    if "pairs" not in account:
        return f"gained nothing, its version never became champion; {sums}"
    return (
        f"{_moved(account['gained'])} {unit(account['metric'])} "
        f"({account['low']:+,.4g} to {account['high']:+,.4g}) "
        f"on the {account['pairs']:,} events after its promotion that both champions answered: "
        f"{account['lost']:,.4g} where {account['over']} would have lost "
        f"{account['lost_before']:,.4g}; {sums}"
    )


def _moved(gained: float) -> str:
    return f"saved {gained:,.4g}" if gained >= 0 else f"lost {-gained:,.4g} more"


class Score(msgspec.Struct, frozen=True):
    """Sums over the settled jobs of one policy: what they gained (in the metric's loss, each over its
    own watch), CPU seconds, price and net. `unknown`: promoted jobs whose gain could not be measured.
    """

    policy: str
    jobs: int = 0
    accepted: int = 0
    promoted: int = 0
    unknown: int = 0
    seconds: float = 0.0
    gained: float = 0.0
    low: float = 0.0
    high: float = 0.0
    price: float | None = None
    net: float | None = None


def with_account(score: Score, job: Job) -> Score:
    """The score with one more `settled` record. A job that several policies asked for together counts
    for their combination, so the rows add up.
    """
    account = job.evidence
    price, gained = account.get("price"), score.gained + (account.get("gained") or 0.0)
    paid = score.price if price is None else (score.price or 0.0) + price
    return Score(
        policy=score.policy,
        jobs=score.jobs + 1,
        accepted=score.accepted + (account.get("verdict") == "accepted"),
        promoted=score.promoted + ("pairs" in account),
        unknown=score.unknown + (account.get("gained") is None),
        seconds=score.seconds + (account.get("fit_seconds") or 0.0),
        gained=gained,
        low=score.low + (account.get("low") or 0.0),
        high=score.high + (account.get("high") or 0.0),
        price=paid,
        net=None if paid is None else gained - paid,
    )


def ranked(scores: Iterable[Score]) -> list[Score]:
    """Whoever brought most first."""
    return sorted(scores, key=lambda score: -(score.gained - (score.price or 0.0)))


def scored(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """The policies' scores from all records of `jobs`, as plain JSON values."""
    settled = {job.job: job for job in jobs if job.state == "settled"}
    scores: dict[str, Score] = {}
    for job in settled.values():
        before = scores.get(job.trigger) or Score(job.trigger)
        scores[job.trigger] = with_account(before, job)
    return [msgspec.to_builtins(score) for score in ranked(scores.values())]
