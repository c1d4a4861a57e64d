"""The tables of `headrace bench decisions`."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from services.bench_tables import bench_console, bench_table
from shared.bench.contests import RULES
from shared.bench.decisions import Cell, Kind, Trial, claims

_HEADINGS: dict[Kind, str] = {
    "independent": "False promotions, %: equal models, losses independent",
    "real": "False promotions, %: equal models, losses of real streams",
    "worse": "False promotions, %: the challenger is a little worse",
    "turns": "What no rule can promise: equal on average, better by turns (promoted, %)",
    "better": "Power: promoted, % (median pairs)",
}


def show(trial: Trial, done: Sequence[Cell]) -> None:
    """One table a kind of pairs, then what is claimed and whether it holds."""
    console = bench_console()
    for kind, heading in _HEADINGS.items():
        found = [cell for cell in done if cell.kind == kind]
        if found:
            _kind(console, f"{heading}; up to {trial.pairs:,} pairs", found)
    table = bench_table(console, "What is claimed of the first rule")
    for name in ("claim", "at most", "found", "holds"):
        table.add_column(name, justify="left" if name == "claim" else "right")
    for claim in claims(list(done)):
        most, found_ = (_figure(claim[name]) for name in ("most", "found"))
        table.add_row(claim["claim"], most, found_, "yes" if claim["holds"] else "NO")
    console.print(table)


def _kind(console: Console, title: str, found: Sequence[Cell]) -> None:
    table = bench_table(console, title)
    table.add_column("stream", no_wrap=True)
    for name in ("contests", "differ", "kappa", *RULES):
        table.add_column(name, justify="right")
    for stream in dict.fromkeys(cell.stream for cell in found):
        row = {cell.rule: cell for cell in found if cell.stream == stream}
        first = next(iter(row.values()))
        about = (f"{len(first.pairs):,}", f"{first.discordance:.0%}", f"{first.kappa:.1f}")
        table.add_row(escape(stream), *about, *(_share(row[rule]) for rule in RULES))
    console.print(table)


def _share(cell: Cell) -> str:
    share = f"{100 * cell.promoted:.1f}"
    if cell.kind != "better":
        return f"{share} ±{100 * cell.error:.1f}"
    return f"{share} ({cell.median_pairs:,.0f})" if cell.median_pairs else share


def _figure(value: float | None) -> str:
    if value is None:
        return "never"
    return f"{100 * value:.1f} %" if value < 1 else f"{value:,.0f}"
