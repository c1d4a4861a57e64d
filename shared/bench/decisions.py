"""How often the rule of promotion is wrong, and how long it takes to be right: thousands of contests.

*A/A*: champion and challenger are equally good, so each promotion is a false one, however often one
looked. *Power*: the challenger is better by so much. Beside the product's rule: the same without
tempering, a fixed test, and that test looked at over and over.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from shared.bench.contests import I64, OURS, RULES, Pairs, decided
from shared.bench.pairs import DISCORDANCE, Draws, Equals, Independent, Turns, equal_losses
from shared.bench.report import versions
from shared.bench.streams import find_streams, read_stream
from shared.errors import UsageError
from shared.evaluation.paired import inflation

Kind = Literal["independent", "real", "turns", "worse", "better"]

PAIRS = 20_000
CONTESTS = 1_000
POWER_CONTESTS = 300
SEEDS = (1, 2, 3, 4)
FLIPS = (64, 256, 1_024)
LEAST_ROWS = 5_000
"""Of a real stream: a shorter one would go round too often."""
MOST_INDEPENDENT, MOST_REAL, MOST_PAIRS = 0.05, 0.07, 5_000
"""What is claimed: false promotions of both kinds, median pairs at 2 points and 20 % discordance."""
CLAIM = (DISCORDANCE, 0.02)
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Trial:
    """What is run. `data` None: made-up pairs only. `rows`: the first of each real stream, 0: all."""

    data: Path | None = None
    only: tuple[str, ...] = ()
    contests: int = CONTESTS
    pairs: int = PAIRS
    rows: int = 20_000
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Cell:
    """One rule on one kind of pairs. `pairs` [contests]: when it promoted, 0: never.

    `discordance`: the share of pairs that differ; `kappa`: the variance inflation of their mean.
    """

    kind: Kind
    stream: str
    rule: str
    pairs: I64
    discordance: float
    gain: float
    kappa: float

    @property
    def promoted(self) -> float:
        """The share of contests that ended in a promotion."""
        return float(np.mean(self.pairs > 0))

    @property
    def error(self) -> float:
        """The standard error of that share."""
        return float(np.sqrt(self.promoted * (1 - self.promoted) / len(self.pairs)))

    @property
    def median_pairs(self) -> float | None:
        """Pairs until half of all contests had promoted; None: they never had."""
        waited = np.where(self.pairs > 0, self.pairs, np.iinfo(np.int64).max)
        middle = float(np.quantile(waited, 0.5, method="higher"))
        return middle if self.promoted > 0.5 else None


Source = Independent | Turns | Equals


def cells(trial: Trial, tell: Callable[[str], None]) -> Iterator[Cell]:
    """Every rule on every kind of pairs, as they are done; `tell` hears of each kind.

    Raises:
        UsageError: the data cannot be read, or no stream of it can be used.
    """
    for place, (kind, name, source) in enumerate(_sources(trial, tell)):
        r = np.random.default_rng([trial.seed, place])
        contests = trial.contests
        if kind == "better":
            contests = min(contests, POWER_CONTESTS)
        done = list(_cells(kind, name, source, contests, trial.pairs, r))
        tell(f"{name}: {done[0].promoted:.1%} promoted by {OURS}, {contests:,} contests")
        yield from done


def _sources(trial: Trial, tell: Callable[[str], None]) -> Iterator[tuple[Kind, str, Source]]:
    for discordance in (0.1, 0.4):
        yield "independent", f"independent, {discordance:.0%} differ", Independent(discordance)
    for name, losses in _real(trial, tell):
        for flip in FLIPS:
            yield "real", f"{name}, flips of {flip:,}", Equals(losses, flip)
    for gain in (-0.005, -0.01):
        name = f"worse by {-100 * gain:g} points, {DISCORDANCE:.0%} differ"
        yield "worse", name, Independent(DISCORDANCE, gain)
    for gain, length in ((0.03, 500), (0.06, 500), (0.03, 2_000)):
        yield "turns", f"turns of {100 * gain:g} points, {length:,} long", Turns(gain, length)
    for discordance in (0.1, 0.2, 0.4):
        for gain in (0.005, 0.01, 0.02, 0.05):
            name = f"better by {100 * gain:g} points, {discordance:.0%} differ"
            yield "better", name, Independent(discordance, gain)


def _real(
    trial: Trial, tell: Callable[[str], None]
) -> Iterator[tuple[str, "np.ndarray[Any, Any]"]]:
    if trial.data is None:
        return
    used = 0
    for path in find_streams(trial.data, trial.only):
        stream = read_stream(path, "", trial.rows)
        if stream.regression or len(stream.x) < LEAST_ROWS:
            continue
        used += 1
        losses = equal_losses(stream, SEEDS)
        rates = ", ".join(f"{loss:.4f}" for loss in losses.mean(axis=1))
        tell(f"{stream.name}: {len(stream.x):,} rows, four equal learners err in {rates}")
        yield stream.name, losses
    if not used:
        raise UsageError(
            f"{trial.data}: no stream of classes with {LEAST_ROWS:,} rows or more (--rows, --streams)."
        )


def _cells(
    kind: Kind, name: str, source: Source, contests: int, pairs: int, r: Draws
) -> Iterator[Cell]:
    found: dict[str, list[I64]] = {rule: [] for rule in RULES}
    differ, kappa = [], []
    for start in range(0, contests, _AT_ONCE):
        d: Pairs = source.draw(min(_AT_ONCE, contests - start), pairs, r)
        differ.append(np.mean(d != 0))
        kappa += [inflation(row.astype(np.float64)) for row in d[:10]]
        for rule, decide in RULES.items():
            found[rule].append(decided(decide, d))
    gain = getattr(source, "gain", 0.0) if kind in ("better", "worse") else 0.0
    for rule, parts in found.items():
        yield Cell(
            kind, name, rule, np.concatenate(parts), float(np.mean(differ)), gain,
            float(np.median(kappa)),
        )  # fmt: skip


def claims(done: list[Cell]) -> list[dict[str, Any]]:
    """What is claimed of the product's rule, what was found, and whether it holds."""
    mine = [cell for cell in done if cell.rule == OURS]
    found: list[dict[str, Any]] = []
    for kind, most in (("independent", MOST_INDEPENDENT), ("real", MOST_REAL)):
        shares = [cell.promoted for cell in mine if cell.kind == kind]
        if shares:
            worst = max(shares)
            found.append({"claim": f"false promotions, {kind} losses, the worst stream",
                          "most": most, "found": worst, "holds": worst <= most})  # fmt: skip
    for cell in mine:
        if cell.kind == "better" and (cell.gain, round(cell.discordance, 1)) == CLAIM[::-1]:
            median = cell.median_pairs
            found.append({"claim": "median pairs to find 2 points at 20 % discordance",
                          "most": MOST_PAIRS, "found": median,
                          "holds": median is not None and median <= MOST_PAIRS})  # fmt: skip
    return found


def report(trial: Trial, done: list[Cell]) -> dict[str, Any]:
    """Everything as plain JSON values."""
    return {
        "rows": [row(cell) for cell in done],
        "claims": claims(done),
        "pairs": trial.pairs,
        "seed": trial.seed,
        "versions": versions(),
    }


def row(cell: Cell) -> dict[str, Any]:
    """One rule on one kind of pairs."""
    return {
        "kind": cell.kind,
        "stream": cell.stream,
        "rule": cell.rule,
        "contests": len(cell.pairs),
        "promoted": cell.promoted,
        "error": cell.error,
        "median_pairs": cell.median_pairs,
        "discordance": cell.discordance,
        "gain": cell.gain,
        "kappa": cell.kappa,
    }
