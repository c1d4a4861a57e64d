"""The tables of `headrace bench retraining`."""

from collections.abc import Sequence

from rich.markup import escape

from services.bench_tables import bench_console, bench_table
from shared.bench.retraining import (
    COST,
    DELAYS,
    DRIFT,
    NEVER,
    PERIODIC,
    Bill,
    case_of,
    claims,
    standing,
)


def show(done: Sequence[Bill]) -> None:
    """Who costs what over the best in hindsight, the cases one by one, and what is claimed."""
    console = bench_console()
    table = bench_table(console, "Total cost over that of the best policy in hindsight")
    late = [f"labels {delay:,} late" if delay else "labels at once" for delay in DELAYS]
    for name in ("policy", "mean", "worst", *late):
        table.add_column(name, justify="left" if name == "policy" else "right")
    for row in standing(done):
        means = (row[f"mean_{delay}"] for delay in DELAYS)
        figures = (row["mean"], row["worst"], *means)
        table.add_row(escape(row["policy"]), *(f"{figure:.2f}" for figure in figures))
    console.print(table)
    _cases(done)
    table = bench_table(console, "What is claimed of the cost-aware policy")
    for name in ("claim", "at most", "found", "holds"):
        table.add_column(name, justify="left" if name == "claim" else "right")
    found = claims(done)
    for claim in found:
        holds = "yes" if claim["holds"] else "NO"
        table.add_row(claim["claim"], f"{claim['most']:.2f}", f"{claim['found']:.2f}", holds)
    console.print(table)
    held, cases = sum(c["holds"] for c in found), len({case_of(bill) for bill in done})
    streams = ", ".join(dict.fromkeys(bill.stream for bill in done))
    console.print(f"{held} of {len(found)} claims hold, over {cases} cases ({escape(streams)}).")


def _cases(done: Sequence[Bill]) -> None:
    console = bench_console()
    table = bench_table(console, "Cost in errors (fits)")
    shown = (COST, DRIFT, NEVER)
    for name in ("stream", "model", "labels late", "price of a fit", "best in hindsight", *shown):
        table.add_column(name, justify="left" if name in ("stream", "model") else "right")
    table.add_column("best period", justify="right")
    for key in dict.fromkeys(map(case_of, done)):
        case = {b.policy: b for b in done if case_of(b) == key}
        best = min(case.values(), key=lambda bill: bill.cost)
        period = min((case[name] for name in PERIODIC), key=lambda bill: bill.cost)
        stream, model, delay, price = key
        table.add_row(
            escape(stream),
            model,
            f"{delay:,}",
            f"{price:g}",
            f"{best.cost:,.0f} {best.policy}",
            *(f"{case[name].cost:,.0f} ({case[name].fits})" for name in shown),
            f"{period.cost:,.0f} {period.policy}",
        )
    console.print(table)
