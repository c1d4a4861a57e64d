"""The bench's tables: for a terminal, and as Markdown where the output is no terminal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.bench.learning import Heat, Race, best_peer, error_ratio, ours
from shared.bench.report import row

_WIDTH = 200  # Markdown is not broken into lines
Cell = Callable[[Mapping[str, Any]], str]


def _digits(name: str, digits: int = 4) -> Cell:
    return lambda row: f"{row[name]:.{digits}f}" if name in row else ""


def _figure(name: str) -> Cell:
    """Four significant digits, whatever the label's unit."""
    return lambda row: f"{row[name]:.4g}" if name in row else ""


def _sure(name: str) -> Cell:
    """The figure, the standard error of the stream, and that of the seeds where there are several."""

    def cell(row: Mapping[str, Any]) -> str:
        text = f"{row[name]:.4f} ±{row['error']:.4f}"
        return f"{text} ({row['seed_error']:.4f})" if "seed_error" in row else text

    return cell


def _ahead(row: Mapping[str, Any]) -> str:
    if "headrace_ahead" not in row:
        return ""
    return f"{row['headrace_ahead']:+.4f} ±{row['headrace_ahead_error']:.4f}"


def _back(row: Mapping[str, Any]) -> str:
    if "recovery_events" not in row:
        return ""
    never = row["never_recovered"]
    return f"{row['recovery_events']:.0f}" + (f" (not after {never})" if never else "")


def _cost(row: Mapping[str, Any]) -> str:
    return f"{row['cpu_us_per_event']:.0f}"


def _ratio(row: Mapping[str, Any]) -> str:
    ratio = row["cpu_ratio"]
    return f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2f}"


_CLASSES: dict[str, Cell] = {
    "accuracy": _sure("accuracy"),
    "headrace ahead": _ahead,
    "kappa": _digits("kappa", 3),
    "kappa no-change": _digits("kappa_no_change", 3),
    "log loss": _digits("log_loss", 3),
    "Brier": _digits("brier", 3),
    "ECE": _digits("ece", 3),
}
_NUMBERS: dict[str, Cell] = {
    "R2": _sure("r2"),
    "headrace ahead": _ahead,
    "MAE": _figure("mae"),
    "in the interval": _digits("coverage", 3),
    "its width": _figure("width"),
}
_COST: dict[str, Cell] = {
    "us": _cost,
    "x": _ratio,
    "MB": _digits("memory_mb", 0),
}


def show(race: Race, heat: Heat) -> None:
    """One stream: everybody, the best first; at the end those who were cut short or failed."""
    rows = [row(race, heat, entry) for entry in heat.entries]
    cells = {**(_NUMBERS if heat.stream.regression else _CLASSES), **_COST}
    if any("recovery_events" in one for one in rows):
        cells["back after"] = _back
    console = bench_console()
    table = bench_table(console, _title(race, heat))
    table.add_column("model", no_wrap=True)
    for name in cells:
        table.add_column(name, justify="right", no_wrap=True)
    best = "r2" if heat.stream.regression else "accuracy"
    longest = max((one["n"] for one in rows if "n" in one), default=0)
    rows.sort(key=lambda one: (one.get("n", 0) < longest, -one.get(best, 0.0)))  # whole ones first
    for one in rows:
        name = _name(one["model"], one["settings"])
        if "failed" in one:
            table.add_row(escape(f"{name} failed: {one['failed'][:40]}"))
            continue
        if one["n"] < longest:
            name += f" (first {one['n']:,})"
        style = "bold cyan" if one["model"] == "headrace" else ""
        table.add_row(escape(name), *(cell(one) for cell in cells.values()), style=style)
    console.print(table)


def show_all(found: Sequence[Heat]) -> None:
    """Ours against the best peer of each stream, and what the columns mean."""
    console = bench_console()
    table = bench_table(console, "Against the best peer of each stream")
    for name in ("stream", "headrace", "best peer", "its own", "our error / its error"):
        table.add_column(name, justify="left" if name in ("stream", "best peer") else "right")
    for heat in found:
        mine, peer = ours(heat), best_peer(heat)
        if mine is None or peer is None or peer.judged is None:
            continue
        ratio = (1 - mine.value) / max(1e-9, 1 - peer.judged.value)
        own = f"{peer.judged.value:.4f}"
        table.add_row(
            escape(heat.stream.name),
            f"{mine.value:.4f}",
            peer.contestant.model,
            own,
            f"{ratio:.2f}",
        )
    if table.row_count:
        console.print(table)
    _show_recoveries(console, found)
    ratio_of_all = error_ratio(found)
    if ratio_of_all is not None:
        console.print(f"Geometric mean of the error ratios: {ratio_of_all:.3f}")
    console.print(_MEANING, style="dim")


def _show_recoveries(console: Console, found: Sequence[Heat]) -> None:
    """Models by streams: rows until accuracy is back after an abrupt change."""
    back: dict[str, dict[str, str]] = {}
    streams = []
    for heat in found:
        for entry in heat.entries:
            if entry.judged is None or entry.judged.recovery is None:
                continue
            if heat.stream.name not in streams:
                streams.append(heat.stream.name)
            rows, never = entry.judged.recovery
            cell = {"recovery_events": rows, "never_recovered": never}
            who = _name(entry.contestant.model, entry.contestant.settings)
            back.setdefault(who, {})[heat.stream.name] = (
                f"{_back(cell)}, at {entry.judged.value:.3f}"
            )
    if not back:
        return
    table = bench_table(
        console, "Rows until accuracy is back after an abrupt change, and the accuracy"
    )
    table.add_column("model", no_wrap=True)
    for name in streams:
        table.add_column(escape(name), justify="right", no_wrap=True)
    for who, cells in back.items():
        table.add_row(escape(who), *(cells.get(name, "") for name in streams))
    console.print(table)


_MEANING = """
Predict, then learn, one event at a time, one thread. ± is a standard error on the stream (errors come
in runs: blocks of 8 to 512 rows), in brackets that of the mean over the seeds. `headrace ahead`: on the
very same rows. Kappa: 0 is chance, 1 perfect; kappa no-change: 0 is saying the newest known label. Log
loss, Brier: less is better. ECE: how far stated confidence is from the share of right answers. us: CPU
microseconds an event, predicting and learning; x: ours times this. MB: what the process grew by.
`back after`: rows after an abrupt change until 200 in a row are within a point of the accuracy before
it. Width: of the interval, in the label's unit; it is to hold 90 % of the labels."""


def _name(model: str, settings: str) -> str:
    return model if settings == "defaults" else f"{model}, {settings}"


def _title(race: Race, heat: Heat) -> str:
    stream = heat.stream
    kind = "regression" if stream.regression else f"{len(stream.classes)} classes"
    late = f", labels {race.delay:,} events late" if race.delay else ""
    seeds = f", mean of {race.seeds} seeds" if race.seeds > 1 else ""
    frames = ", peers with our view of the features" if race.frames else ""
    size = f"{len(stream.x):,} rows, {stream.x.shape[1]} features"
    return f"{stream.name}: {size}, {kind}{late}{seeds}{frames}"


def bench_console() -> Console:
    """A terminal's, or one whose lines are not broken."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)


def bench_table(console: Console, title: str) -> Table:
    """An empty table; Markdown, with its title above, where the output is no terminal."""
    if console.is_terminal:
        return Table(
            title=title,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            padding=(0, 1),
        )
    console.print(f"\n**{title}**\n")
    return Table(box=box.MARKDOWN)
