"""Retrain when waiting has cost as much as a fit.

If the excess loss of a model grows linearly with its age, the period T of least total cost has an
excess area a T^2 / 2 equal to the price of one fit (the economic order quantity); after an abrupt
change the rule pays about one price more than who knew of it (ski rental). So no period and no
threshold is to be tuned, only the price is to be said. All fits together never cost more than what was
lost above the level of fresh ones, but for the first fit and those that an alarm asked for.
"""

from statistics import median

import msgspec

from shared.evaluation.retraining.port import Policy, Wish
from shared.messages.types import Alert
from shared.problem.triggers import OnCost

FRESH_OUTCOMES = 500
"""Outcomes after a fit whose mean loss is what a fresh model achieves."""
FITS = 5
"""Fits whose medians count."""
KNOWN_FITS = 3
"""Until so many are known, a fit is hoped to lose nothing: the first one may have come just before a
change, and only fits can tell what fits achieve.
"""
FIRST_GAP = 5_000
"""Outcomes between fits until that is known."""
LEAST_AGE = 250
RECENT = 0.005
"""Weight of the newest outcome in the recent mean loss."""
ERRORS = "errors"
"""The kind of the monitor's alert that the champion's losses rose (an e-detector, `shared/drift`)."""


class _Cost(msgspec.Struct):
    """`fits`: how many took effect. Since the last one: `seen` outcomes of it, the mean loss of its
    first ones, the recent mean loss, and the `excess`; `fresh`: what earlier fits achieved.
    """

    fits: int = 0
    fitted_at: int = 0
    seen: int = 0
    first: float = 0.0
    recent: float = 0.0
    excess: float = 0.0
    asked: bool = False
    fresh: list[float] = []
    gaps: list[int] = []
    alerts: list[str] = []


class Cost(Policy):
    """`excess` = max(0, excess + loss - fresh) from 0 at each fit; due when it reaches the price."""

    def __init__(self, spec: OnCost) -> None:
        self._spec = spec
        self.moment = _Cost()

    def outcome(self, at: int, loss: float | None) -> Wish | None:
        """See the port."""
        m = self.moment
        if not m.fits:
            return (
                None if at < self._spec.first else self._ask(at, "the first fit is still to come")
            )
        if loss is None:
            return None
        self._take(loss)
        if m.excess < self._spec.fit_price:
            return None
        return self._ask(
            at,
            f"since the last fit {m.excess:.4g} was lost above the {self._level():.4g} an outcome "
            f"of a fresh model, as much as a fit may cost ({self._spec.fit_price:g})",
        )

    def alert(self, at: int, alert: Alert) -> Wish | None:
        """See the port."""
        m = self.moment
        if alert.kind != ERRORS or alert.state != "open" or alert.alert in m.alerts:
            return None
        m.alerts = [*m.alerts[-FITS:], alert.alert]
        if not m.fits or not m.seen:
            return None
        horizon = median(m.gaps) if m.gaps else FIRST_GAP
        promised = (m.recent - self._level()) * horizon
        if promised < self._spec.fit_price:
            return None
        return self._ask(
            at,
            f"alert {alert.alert}: errors rose; {promised:.4g} would be lost in {horizon:,.0f} "
            f"outcomes, and a fit may cost {self._spec.fit_price:g}",
        )

    def fitted(self, at: int) -> None:
        """See the port."""
        m = self.moment
        gaps = [*m.gaps, at - m.fitted_at][-FITS:] if m.fits else []
        self.moment = _Cost(
            fits=m.fits + 1, fitted_at=at, fresh=m.fresh, gaps=gaps, alerts=m.alerts
        )

    def _take(self, loss: float) -> None:
        m = self.moment
        m.seen += 1
        m.recent += max(RECENT, 1 / m.seen) * (loss - m.recent)
        if m.seen <= FRESH_OUTCOMES:
            m.first += (loss - m.first) / m.seen
            if m.seen == FRESH_OUTCOMES:
                m.fresh = [*m.fresh, m.first][-FITS:]
        if m.seen > FRESH_OUTCOMES or len(m.fresh) > 1:
            m.excess = max(0.0, m.excess + loss - self._level())

    def _level(self) -> float:
        """The mean loss of a fresh model, as far as that is known."""
        fresh = self.moment.fresh
        return float(median([*fresh, *[0.0] * (KNOWN_FITS - len(fresh))]))

    def _ask(self, at: int, reason: str) -> Wish | None:
        m = self.moment
        if m.asked or (m.fits and m.seen < LEAST_AGE):
            return None
        m.asked = True
        return Wish(at, "cost", reason)
