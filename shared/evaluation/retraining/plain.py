"""Policies that look at one thing: the count of outcomes, the calendar, alerts, the mean loss."""

from datetime import datetime
from math import ceil

import msgspec

from shared.evaluation.retraining.port import Policy, Wish
from shared.messages.types import Alert
from shared.problem.cron import next_after
from shared.problem.triggers import OnDrift, OnGrowth, OnPerformance, OnSchedule, OnVolume

MOST_ALERTS = 100


class _Volume(msgspec.Struct):
    last: int = 0


class Volume(Policy):
    """Every so many outcomes, whatever else asks for fits in between."""

    def __init__(self, spec: OnVolume) -> None:
        self._every = spec.outcomes
        self.moment = _Volume()

    def outcome(self, at: int, loss: float | None) -> Wish | None:
        """See the port."""
        if at - self.moment.last < self._every:
            return None
        self.moment.last = at
        return Wish(at, "volume", f"{self._every:,} new outcomes since the last look")


class Growth(Policy):
    """At ever longer distances, while there is ever more to learn from."""

    def __init__(self, spec: OnGrowth) -> None:
        self._spec = spec
        self.moment = _Volume()

    def outcome(self, at: int, loss: float | None) -> Wish | None:
        """See the port."""
        spec, last = self._spec, self.moment.last
        if at < (min(ceil(last * spec.by), last + spec.most) if last else spec.first):
            return None
        self.moment.last = at
        before = f"{last:,} when a fit was last asked for" if last else "no fit was asked for yet"
        return Wish(at, "growth", f"there are {at:,} outcomes, {before}")


class _Schedule(msgspec.Struct):
    last: datetime | None = None


class Schedule(Policy):
    """Due when a firing of the crontab lies between the last tick looked at and this one."""

    def __init__(self, spec: OnSchedule) -> None:
        self._spec = spec
        self.moment = _Schedule()

    def tick(self, at: int, now: datetime) -> Wish | None:
        """See the port."""
        last, self.moment.last = self.moment.last, now
        if last is None:
            return None
        due = next_after(self._spec.cron, last, self._spec.zone)
        if due is None or due > now:
            return None
        reason = f"schedule `{self._spec.cron}` fired for {due:%Y-%m-%d %H:%M}"
        return Wish(at, "schedule", reason)


class _Drift(msgspec.Struct):
    alerts: list[str] = []


class Drift(Policy):
    """A new episode counts once; updates of it do not."""

    def __init__(self, spec: OnDrift) -> None:
        self._spec = spec
        self.moment = _Drift()

    def alert(self, at: int, alert: Alert) -> Wish | None:
        """See the port."""
        spec, known = self._spec, self.moment.alerts
        meant = alert.cause in spec.causes and alert.severity in spec.severities
        if alert.state != "open" or not meant or alert.alert in known:
            return None
        self.moment.alerts = [*known[1 - MOST_ALERTS :], alert.alert]
        what = alert.text or f"{alert.cause} in {alert.series}"
        return Wish(at + spec.settle, "drift", f"alert {alert.alert}: {what}")


class _Performance(msgspec.Struct):
    seen: int = 0
    fresh: float = 0.0
    recent: float = 0.0
    asked: bool = False


class Performance(Policy):
    """The newest losses (weighted exponentially) against the first ones after the last fit."""

    def __init__(self, spec: OnPerformance) -> None:
        self._spec = spec
        self.moment = _Performance()

    def outcome(self, at: int, loss: float | None) -> Wish | None:
        """See the port."""
        if loss is None:
            return None
        m, window = self.moment, self._spec.window
        m.seen += 1
        if m.seen <= window:
            m.fresh += (loss - m.fresh) / m.seen
            m.recent = m.fresh
            return None
        m.recent += (loss - m.recent) * 2 / (window + 1)
        if m.asked or m.seen <= 2 * window or m.recent - m.fresh < self._spec.worse_by:
            return None
        m.asked = True
        reason = (
            f"the mean loss is {m.recent:.4g} by now, {m.recent - m.fresh:.4g} above that of the "
            f"first {window:,} outcomes after the last fit"
        )
        return Wish(at, "performance", reason)

    def fitted(self, at: int) -> None:
        """See the port."""
        self.moment = _Performance()
