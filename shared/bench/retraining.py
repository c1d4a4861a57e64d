"""When to retrain: what each policy costs in all, errors and fits together, on the same fits.

Total cost = errors + price of a fit, in errors, times the number of fits. The policies are
the product's own (`shared/evaluation/retraining`), fed as the scheduler feeds them; alarms come from
the detector of errors, or from River's ADWIN. The yardstick is the best of all policies in hindsight,
chosen anew for each stream, model, price and delay: nobody can know it beforehand.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import shared.bench.refits
import shared.drift.rates
import shared.evaluation.retraining
import shared.problem.triggers
from shared.bench.kept import Kept
from shared.bench.refits import FIRST, GRID, MODELS, Refits, refits
from shared.bench.report import versions
from shared.bench.streams import Stream, find_streams, read_stream
from shared.drift import Rates
from shared.errors import UsageError
from shared.evaluation.retraining.cost import ERRORS
from shared.evaluation.retraining.port import Policy
from shared.evaluation.retraining.table import policy_of
from shared.messages.types import Alert
from shared.problem.triggers import OnCost, OnDrift, OnPerformance, OnVolume, OnVotes, Trigger

PRICES = (10.0, 50.0, 200.0)
DELAYS = (0, 512)
PERIODS = (256, 512, 1_024, 2_048, 4_096, 8_192)
ALARM_EVENTS = 20_000.0
"""The expected run length of the detector, as in `drift.error_run_length`."""
NEVER, COST = "never", "cost-aware"
DRIFT, ADWIN = "drift only", "drift only (ADWIN)"
PERIODIC = tuple(f"every {period:,}" for period in PERIODS)
MOST_MEAN, MOST_WORST = 1.15, 1.35
CODE = (
    sys.modules[__name__],
    shared.bench.refits,
    shared.drift.rates,
    shared.evaluation.retraining,
    shared.problem.triggers,
)
"""What a bill depends on."""
_LEAST_ROWS = 5_000
_T0 = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run."""

    data: Path
    only: tuple[str, ...] = ()
    rows: int = 20_000
    keep: Path | None = None
    """Where finished cells (a stream and a model) are kept and looked for."""


@dataclass(frozen=True, slots=True)
class Bill:
    """One policy in one case: a stream, a model, a price of a fit and a delay of the labels."""

    stream: str
    model: str
    delay: int
    price: float
    policy: str
    errors: int
    fits: int
    ratio: float = 1.0
    """Its cost over that of the best policy in hindsight."""

    @property
    def cost(self) -> float:
        """In errors."""
        return self.errors + self.price * self.fits


class Alarm(Protocol):
    """Says whether errors have risen."""

    def update(self, error: int) -> bool:
        """One error (1) or none (0)."""
        ...


class Detector:
    """The monitor's e-detector on errors, from anew after each fit and each alarm."""

    def __init__(self) -> None:
        self._rates, self._row = Rates(1), np.zeros(1)

    def update(self, error: int) -> bool:
        """See `Alarm`."""
        self._row[0] = error
        alarmed = self._rates.update(self._row) >= ALARM_EVENTS
        if alarmed:
            self._rates = Rates(1)
        return alarmed


class Adwin:
    """River's ADWIN at its defaults; only rises count."""

    def __init__(self) -> None:
        from river.drift import ADWIN as RiverAdwin

        made: Any = RiverAdwin  # without types
        self._adwin = made()

    def update(self, error: int) -> bool:
        """See `Alarm`."""
        before = self._adwin.estimation
        self._adwin.update(error)
        return bool(self._adwin.drift_detected and self._adwin.estimation > before)


def simulate(
    found: Refits, policy: Policy | None, alarm: Callable[[], Alarm] | None, delay: int
) -> tuple[int, int]:
    """Errors and fits of one policy; the first fit is everybody's.

    At row t the labels of the rows before t - `delay` are known, and no others. A fit that is asked for
    is made at the next place of the grid, of what is known there, and serves from there on.
    """
    n = found.errors.shape[1]
    late = delay // GRID
    serving, fitted, fits, alerts, wanted = 0, FIRST, 1, 0, False
    losses = np.zeros(n, np.int8)
    detector = alarm() if alarm else None
    if policy is not None:
        policy.fitted(FIRST)
    for t in range(FIRST, n):
        place, past = divmod(t - FIRST, GRID)
        if wanted and past == 0 and policy is not None:
            serving, fitted, fits, wanted = max(0, place - late), t, fits + 1, False
            policy.fitted(t)
            detector = alarm() if alarm else None
        losses[t] = found.errors[serving, t]
        known = t - delay
        if known < FIRST or policy is None:
            continue
        error = int(losses[known]) if known >= fitted else None
        wanted |= policy.outcome(t + 1, None if error is None else float(error)) is not None
        if detector is not None and error is not None and detector.update(error):
            alerts += 1
            wanted |= policy.alert(t + 1, _alert(alerts)) is not None
    return int(losses[FIRST:].sum()), fits


def _alert(number: int) -> Alert:
    return Alert(
        alert=f"alert-{number}", kind=ERRORS, cause="concept_drift", severity="page",
        state="open", since=_T0, time=_T0, series=ERRORS,
    )  # fmt: skip


def policies(price: float) -> dict[str, tuple[Trigger | None, Callable[[], Alarm] | None]]:
    """Everybody, by name, for one price of a fit."""
    everybody: dict[str, tuple[Trigger | None, Callable[[], Alarm] | None]] = {NEVER: (None, None)}
    for name, period in zip(PERIODIC, PERIODS, strict=True):
        everybody[name] = (OnVolume(on="volume", outcomes=period), None)
    drift = OnDrift(on="drift", settle=0)
    worse = OnPerformance(on="performance", worse_by=0.02)
    volume = OnVolume(on="volume", outcomes=2_048)
    everybody |= {
        DRIFT: (drift, Detector),
        ADWIN: (drift, Adwin),
        "performance": (worse, None),
        "votes": (OnVotes(on="votes", among=[drift, worse, volume], within=2_048), Detector),
        COST: (OnCost(on="cost", fit_price=price, first=50), Detector),
    }
    return everybody


def bills(plan: Plan, tell: Callable[[str], None]) -> Iterator[Bill]:
    """Every policy in every case, as the streams are done; `tell` hears of each.

    Raises:
        UsageError: the data cannot be read, or no stream of it can be used.
    """
    used, kept = 0, Kept(plan.keep, CODE, versions())
    for path in find_streams(plan.data, plan.only):
        stream = read_stream(path, "", plan.rows)
        if stream.regression or len(stream.x) < _LEAST_ROWS:
            continue
        used += 1
        for model in MODELS:
            yield from _cell(kept, stream, model, tell)
    if not used:
        raise UsageError(
            f"{plan.data}: no stream of classes with {_LEAST_ROWS:,} rows or more (--rows, --streams)."
        )


def _cell(kept: Kept, stream: Stream, model: str, tell: Callable[[str], None]) -> list[Bill]:
    """All cases of one stream and model."""

    def reckon() -> list[dict[str, Any]]:
        found = refits(stream, model)
        tell(
            f"{stream.name}, {model}: {len(found.places)} fits of {1e3 * found.fit_s:.0f} ms each"
        )
        return [asdict(bill) for bill in _cases(found)]

    data = (np.ascontiguousarray(part).tobytes() for part in (stream.x, stream.y))
    rows, known = kept.cell(f"{stream.name}-{model}", data, reckon)
    cases = [Bill(**row) for row in rows]
    mean = np.mean([bill.ratio for bill in cases if bill.policy == COST])
    tell(f"{stream.name}, {model}: {COST} {mean:.2f}{', as kept' if known else ''}")
    return cases


def _cases(found: Refits) -> Iterator[Bill]:
    done: dict[tuple[str, int], tuple[int, int]] = {}
    for delay in DELAYS:
        for price in PRICES:
            case = []
            for name, (trigger, alarm) in policies(price).items():
                key = (name if name != COST else f"{name} {price}", delay)
                if key not in done:
                    policy = None if trigger is None else policy_of(trigger)
                    done[key] = simulate(found, policy, alarm, delay)
                case.append(Bill(found.stream, found.model, delay, price, name, *done[key]))
            best = min(bill.cost for bill in case)
            yield from (
                Bill(
                    b.stream, b.model, b.delay, b.price, b.policy, b.errors, b.fits, b.cost / best
                )
                for b in case
            )


def case_of(bill: Bill) -> tuple[str, str, int, float]:
    """Bills of the same case compare with each other."""
    return bill.stream, bill.model, bill.delay, bill.price


def standing(done: Sequence[Bill]) -> list[dict[str, Any]]:
    """Each policy over all cases: its cost over the best in hindsight, mean and worst; best first."""
    names = dict.fromkeys(bill.policy for bill in done)
    found = []
    for name in names:
        ratios = [bill.ratio for bill in done if bill.policy == name]
        row: dict[str, Any] = {
            "policy": name, "mean": float(np.mean(ratios)), "worst": float(np.max(ratios)),
        }  # fmt: skip
        for delay in DELAYS:
            late = [b.ratio for b in done if b.policy == name and b.delay == delay]
            row[f"mean_{delay}"] = float(np.mean(late)) if late else None
        found.append(row)
    return sorted(found, key=lambda row: row["mean"])


def claims(done: Sequence[Bill]) -> list[dict[str, Any]]:
    """What is claimed of the cost-aware policy, what was found, and whether it holds."""
    rows = {row["policy"]: row for row in standing(done)}
    mine, best = rows[COST], min(rows[name]["mean"] for name in PERIODIC)
    found = [
        ("cost over the best in hindsight, mean", MOST_MEAN, mine["mean"]),
        ("the same, the worst case", MOST_WORST, mine["worst"]),
        ("its mean over that of the best single period", 1.0, mine["mean"] / best),
        ("its mean over that of drift only", 1.0, mine["mean"] / rows[DRIFT]["mean"]),
        ("its mean over that of drift only (ADWIN)", 1.0, mine["mean"] / rows[ADWIN]["mean"]),
        ("its mean over that of never", 1.0, mine["mean"] / rows[NEVER]["mean"]),
    ]
    return [{"claim": c, "most": m, "found": f, "holds": f <= m} for c, m, f in found]


def report(plan: Plan, done: Sequence[Bill]) -> dict[str, Any]:
    """Everything as plain JSON values."""
    return {
        "rows": [
            {"stream": b.stream, "model": b.model, "delay": b.delay, "price": b.price,
             "policy": b.policy, "errors": b.errors, "fits": b.fits, "cost": b.cost,
             "ratio": b.ratio}
            for b in done
        ],
        "policies": standing(done),
        "claims": claims(done),
        "rows_each": plan.rows,
        "versions": versions(),
    }  # fmt: skip
