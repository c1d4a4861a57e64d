"""`headrace report`: what the predictions on the log look like, as one HTML file."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from services import inspection
from services.console.data import ALL, Asked, data_page, references
from services.console.fields import FieldProfiles
from services.console.profiles import Profiles
from services.console.report import Report, report_html, scatters
from services.console.words import moment
from services.inspection import Run
from shared import wiring
from shared.durable import translated
from shared.errors import UsageError
from shared.features.profile.sample import Sample
from shared.features.profile.tiles import merged
from shared.log.port import Position, advanced
from shared.messages.codec import decode
from shared.messages.streams import ALERTS, MODELS, PREDICTIONS
from shared.messages.types import Alert, Prediction
from shared.problem.spec import Problem, ProfileSpec
from shared.registry.live import Live
from shared.settings import load

SAMPLED, SEED = 500, 1
_PAGE = 1_000


def report(run: Run, problem: Problem | None, out: Path) -> dict[str, Any]:
    """Write the report of `run` to `out`; what it rests on.

    With the problem file, features stand in its order and with its words, in its tiles.

    Raises:
        UsageError: there is no prediction on the log.
        Fatal: `out` cannot be written.
    """
    rows = _predictions(run)
    first = next(rows, None)
    if first is None:
        raise UsageError(
            f"there is no prediction on the log of {run.directory} yet: nothing to show"
        )
    names = tuple(first.features) if problem is None else problem.model_names
    profiles = Profiles(names, (problem.profile if problem else ProfileSpec()).tile)
    fields = None if problem is None else FieldProfiles(problem)
    sample = Sample(SAMPLED, SEED)
    for row in chain([first], rows):
        profiles.add(row)
        if fields is not None:
            fields.add(row)
        sample.add(row.id, tuple(_number(row.features.get(name)) for name in names))
    live = Live()
    for _, event in inspection.messages(run, MODELS):
        live.apply(event)
    snapshot = profiles.snapshot()
    raw = None if fields is None else fields.snapshot()
    champion = live.champion or ""
    page = data_page(snapshot, references(live), champion, problem, Asked(span=ALL), raw)
    tiles = [tile for tiles in snapshot.tiles.values() for tile in tiles]
    chosen = sample.rows()
    made = Report(
        name=run.problem if problem is None else problem.name,
        goal="" if problem is None else problem.goal,
        data=page,
        scatters=scatters(chosen, merged(tiles, names)),
        sampled=len(chosen),
        alerts=_alerts(run),
    )
    with translated(out):
        out.write_text(report_html(made))
    return {"report": str(out), "rows": page.rows, "features": len(names), "beside": page.beside}


def _predictions(run: Run) -> Iterator[Prediction]:
    """Those that are on the log now, of all partitions."""
    reader = wiring.open_reader(load(), *run)
    try:
        ends, position = reader.ends(PREDICTIONS), Position()
        while any(position.get(name, 0) < end for name, end in ends.items()):
            records = reader.read([PREDICTIONS], position, _PAGE)
            if not records:
                break
            position = advanced(position, records)
            for record in records:
                yield decode(PREDICTIONS, record.value)
    finally:
        reader.close()


def _alerts(run: Run) -> list[tuple[str, str, str]]:
    """Since when, how severe, what: each alert as it was last, oldest first."""
    newest: dict[str, Alert] = {
        alert.alert: alert for _, alert in inspection.messages(run, ALERTS)
    }
    return [
        (moment(alert.since), alert.severity, f"{alert.cause.replace('_', ' ')}: {alert.text}")
        for alert in sorted(newest.values(), key=lambda alert: alert.since)
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
