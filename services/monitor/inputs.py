"""What is watched of the features: values, missing values, frozen and awakened fields, units."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt

from services.monitor.episodes import Found
from shared.drift import FROZEN, Constancy, Detector, Ranks, Rates, Together, combine, unit_change
from shared.drift.cause import INPUT_SHARE
from shared.messages.types import RankedFeature

SETTLE_EVENTS = 200
"""Predictions from a feature alarm to the look at its unit and its new reference."""
CALM_SHARE = 0.05
"""Below this share of the budget nothing has begun: the last such moment is the `since` of an alarm."""


class Moment(msgspec.Struct):
    """Scalars of the state."""

    names: list[str]
    settle_at: int = -1
    calm_values: datetime | None = None
    calm_missing: datetime | None = None


class Inputs:
    """Detectors over one feature set; made at its first prediction."""

    def __init__(self, names: Sequence[str], n_ref: int, budget_events: float) -> None:
        p = len(names)
        self.moment = Moment(list(names))
        self._budget = budget_events
        self._calm = CALM_SHARE * budget_events
        self._names = tuple(names)
        self._ranks = Ranks(p, n_ref)
        self._missing = Rates(p)
        self._constancy = Constancy(p, budget_events)
        self._together = Together(self._constancy, self._missing, self._ranks)
        self._recent = np.full((SETTLE_EVENTS, p), np.nan)

    @property
    def parts(self) -> dict[str, Detector | Constancy]:
        """What holds arrays, by name in the state."""
        return {"ranks": self._ranks, "missing": self._missing, "constancy": self._constancy}

    @property
    def recent(self) -> npt.NDArray[np.float64]:
        """[200, p] ring of the newest rows."""
        return self._recent

    def update(
        self, features: Mapping[str, float | None], at: int, time: datetime
    ) -> Iterable[Found]:
        """One prediction's features; `at` counts predictions."""
        row = self._recent[at % SETTLE_EVENTS]
        row[:] = list(map(features.get, self._names))
        found: list[Found] = []
        broken, missing, evidence = self._together.update(row)
        if broken:
            found += self._broken(time)
            evidence = self._ranks.update(row)
        if missing < self._calm:
            self.moment.calm_missing = time
        elif missing >= self._budget:
            found += self._gone(time)
        if evidence < self._calm:
            self.moment.calm_values = time
        elif evidence >= self._budget and self.moment.settle_at < 0:
            found += self._moved(at, time)
        if at == self.moment.settle_at:
            found += self._settled(at, time)
        return found

    def moving(self) -> dict[str, float]:
        """Features with at least a twentieth of their own bar, in units of it."""
        bar = len(self._names) * self._budget
        shares = (self._ranks.evidence / bar).tolist()
        return {n: s for n, s in zip(self._names, shares, strict=True) if s >= INPUT_SHARE}

    def frozen(self, names: Sequence[str]) -> bool:
        """Whether one of `names` is frozen still."""
        held = dict(zip(self._names, self._constancy.frozen.tolist(), strict=True))
        return any(held.get(name, False) for name in names)

    def _broken(self, time: datetime) -> Iterator[Found]:
        """Frozen and went live, one finding each."""
        found = self._constancy.found
        for kind in np.unique(found[found > 0]).tolist():
            marked = found == kind
            named = [self._names[i] for i in np.nonzero(marked)[0]]
            self._ranks.reset(marked)
            if kind == FROZEN:
                runs = self._constancy.run[marked].tolist()
                details = [f"the same value {run + 1:,} times" for run in runs]
                text = "stopped moving"
            else:
                details = ["was constant, moves now"] * len(named)
                text = "went live after having been constant"
            yield Found(
                "sources", "frozen" if kind == FROZEN else "went_live", "source_break", "page", time,
                tuple(RankedFeature(n, 1.0, d) for n, d in zip(named, details, strict=True)),
                text=text,
            )  # fmt: skip

    def _gone(self, time: datetime) -> Iterator[Found]:
        alarm = combine(self._names, self._missing.evidence, self._budget)
        if alarm is None:
            return
        rates = dict(zip(self._names, self._missing.rate.tolist(), strict=True))
        self._missing.reset(self._marked(name for name, _ in alarm.moved))
        yield Found(
            "sources", "missing", "source_break", "page", self.moment.calm_missing or time,
            tuple(
                RankedFeature(n, v, f"missing in {rates[n]:.1%} of all so far, far more often now")
                for n, v in alarm.moved
            ),
            {"also_moving": [n for n, _ in alarm.also_moving]},
            "missing far more often than before",
        )  # fmt: skip

    def _moved(self, at: int, time: datetime) -> Iterator[Found]:
        found = self._alarm(time)
        if found is not None:
            self.moment.settle_at = at + SETTLE_EVENTS
            yield found

    def _alarm(self, time: datetime) -> Found | None:
        alarm = combine(self._names, self._ranks.evidence, self._budget)
        if alarm is None:
            return None
        kappa = dict(zip(self._names, self._ranks.kappa.tolist(), strict=True))
        return Found(
            "inputs", "inputs", "input_drift", "evidence", self.moment.calm_values or time,
            tuple(
                RankedFeature(n, v, f"ranks left the reference (autocorrelation {kappa[n]:.1f})")
                for n, v in alarm.moved
            ),
            {
                "mean_evidence": alarm.mean_evidence,
                "budget_events": self._budget,
                "also_moving": [n for n, _ in alarm.also_moving],
            },
            "its values moved; not a page by itself, since inputs really move",
        )  # fmt: skip

    def _settled(self, at: int, time: datetime) -> Iterator[Found]:
        """200 predictions after an alarm: the list again, known units, a new reference."""
        self.moment.settle_at = -1
        found = self._alarm(time)
        if found is None:
            return
        names = [f.feature for f in found.features]
        yield found
        yield from self.units(names, self.moment.calm_values or time)
        self._ranks.reset(self._marked(names))

    def units(self, names: Sequence[str], since: datetime) -> Iterator[Found]:
        """Known unit changes among `names`, by their newest 200 values."""
        for name in names:
            place = self._names.index(name)
            reference = self._ranks.reference(place)
            recent = self._recent[:, place]
            if reference is None:
                continue
            unit = unit_change(reference, recent[np.isfinite(recent)])
            if unit is not None:
                what = RankedFeature(name, 1.0, f"{unit.name}: x * {unit.a:g} + {unit.b:g}")
                yield Found("sources", "unit", "source_break", "page", since, (what,),
                            text=f"looks like another unit ({unit.name})")  # fmt: skip

    @property
    def names(self) -> tuple[str, ...]:
        """The features in their order."""
        return self._names

    def _marked(self, names: Iterator[str] | Sequence[str]) -> npt.NDArray[np.bool_]:
        wanted = set(names)
        return np.array([name in wanted for name in self._names])
