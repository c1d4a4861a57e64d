"""The evidence of a job: one line for everybody who was measured, and the reason in plain words."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from services.trainer.losses import Metric
from services.trainer.trials import Trial
from shared.evaluation import Comparison, compare_losses

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Race:
    """Losses per held row of everybody, and who the challenger must beat.

    `honesty`: of the roles and baselines that state probabilities, how far these are from the truth.
    """

    metric: Metric
    champion: F64
    challenger: F64
    alone: F64
    baselines: dict[str, F64]
    confidence: float
    min_gain: float
    beat_baselines: bool
    honesty: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def comparison(self) -> Comparison:
        """Challenger against champion, on the same rows in time order."""
        return compare_losses(self.champion, self.challenger, self.confidence, self.min_gain)

    @property
    def best_baseline(self) -> str:
        """The baseline with the smallest mean loss."""
        return min(self.baselines, key=lambda name: float(self.baselines[name].mean()))

    @property
    def beaten_by(self) -> str | None:
        """The baseline that is as good as the challenger, if one is."""
        best = self.best_baseline
        return best if self.baselines[best].mean() <= self.challenger.mean() else None

    @property
    def accepted(self) -> bool:
        """Whether both conditions hold."""
        blocked = self.beat_baselines and self.beaten_by is not None
        return self.comparison.verdict == "better" and not blocked


def board(race: Race, trials: list[Trial], best: Trial, rows: dict[str, Any]) -> dict[str, Any]:
    """Everything, as JSON. `gain` is the mean loss saved against the champion, with its interval."""
    fit_rows, chosen = rows["train"], best.name
    entries = [
        _entry("challenger", f"champion's experts + {chosen}", race.challenger, race, fit_rows),
        _entry("champion", "champion, as published", race.champion, race, 0),
        _entry("alone", f"{chosen} alone", race.alone, race, fit_rows),
    ]
    entries += [_entry("baseline", name, loss, race, 0) for name, loss in race.baselines.items()]
    entries += [_trial(trial, race, trial is best) for trial in trials]
    return {
        "metric": race.metric.name,
        "loss": race.metric.about,
        "confidence": race.confidence,
        "min_gain": race.min_gain,
        "rows": rows,
        "chosen": chosen,
        "entries": entries,
    }


def reason(race: Race, chosen: str) -> str:
    """Why it was accepted or rejected, for someone who has never seen this system."""
    c, metric = race.comparison, race.metric
    head = (
        f"On the newest {c.rows:,} labelled rows, which the candidate had not seen, the challenger "
        f"(the champion's experts and {chosen}) has {metric.name.replace('_', ' ')} "
        f"{_figure(metric, race.challenger)}, the champion {_figure(metric, race.champion)}"
    )
    interval = f"{c.confidence:.0%} interval {_signed(metric, c.low)} to {_signed(metric, c.high)}"
    gain = f"a gain of {_signed(metric, c.gain)} ({interval})"
    best = race.best_baseline
    beside = f"the best baseline ({best}) {_figure(metric, race.baselines[best])}"
    if race.accepted:
        return f"{head}, {beside}: {gain}, so it goes into shadow beside the champion."
    if c.verdict == "better":
        return f"{head}: {gain}, but {beside} is not beaten. Rejected."
    least = f"a gain of more than {_signed(metric, race.min_gain)}"
    verdict = "it is worse" if c.verdict == "worse" else f"{least} is not shown"
    return f"{head}: {gain}; {verdict}. Rejected."


def _entry(role: str, name: str, loss: F64, race: Race, fit_rows: int) -> dict[str, Any]:
    """One contestant on the held rows."""
    honesty = race.honesty.get(name if role == "baseline" else role, {})
    entry = {"role": role, "name": name, **_measured(loss, race), **honesty, "fit_rows": fit_rows}
    if role != "champion":
        c = compare_losses(race.champion, loss, race.confidence, race.min_gain)
        entry["gain"] = {"mean": _round(c.gain), "low": _round(c.low), "high": _round(c.high)}
        entry["reason"] = (
            f"{c.verdict} than the champion" if c.verdict != "undecided" else c.verdict
        )
    return entry


def _trial(trial: Trial, race: Race, chosen: bool) -> dict[str, Any]:
    """One candidate on the validation rows."""
    entry: dict[str, Any] = {"role": "candidate", "name": trial.name, "seed": trial.seed}
    if trial.validation_loss is None or trial.train_loss is None:
        return {**entry, "reason": f"not fitted: {trial.problem}"}
    gap = float(trial.validation_loss.mean() - trial.train_loss.mean())
    why = "another candidate was better there"
    if trial.share < 1:
        why = f"a first look, on {trial.share:.0%} of the rows"
    elif chosen:
        why = "best on the validation rows beside the champion's experts"
    return {
        **entry,
        **_measured(trial.validation_loss, race),
        "fit_rows": trial.fit_rows,
        "train_loss": _round(float(trial.train_loss.mean())),
        "gap": _round(gap),
        "joined_loss": None if trial.joined_loss is None else _round(trial.score),
        "reason": why,
    }


def _measured(loss: F64, race: Race) -> dict[str, Any]:
    """Mean loss with its interval, and the metric's figure, over `n` rows."""
    interval = compare_losses(loss, np.zeros_like(loss), race.confidence)
    mean = float(loss.mean())
    return {
        "n": len(loss),
        race.metric.name: _round(race.metric.figure(mean)),
        "loss": _round(mean),
        "low": _round(interval.low),
        "high": _round(interval.high),
    }


def _figure(metric: Metric, loss: F64) -> str:
    value = metric.figure(float(loss.mean()))
    if metric.name == "accuracy":
        return f"{value:.1%}"
    return f"{value:.4g}"


def _signed(metric: Metric, value: float) -> str:
    """A difference of losses: points of accuracy, else in the loss's unit."""
    if metric.name == "accuracy":
        return f"{100 * value:+.2f} points"
    return f"{value:+.4g}"


def _round(value: float) -> float | None:
    """JSON has no infinity; what is not known is null."""
    return round(value, 6) if np.isfinite(value) else None
