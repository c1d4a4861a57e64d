"""What the bench found, as plain JSON values (DESIGN section 3.2)."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from shared.bench.contestants import OURS
from shared.bench.judging import ahead
from shared.bench.learning import Entry, Heat, Race, error_ratio, ours


def report(race: Race, done: list[Heat]) -> dict[str, Any]:
    """Everything as plain JSON values (DESIGN section 3.2)."""
    return {
        "rows": [row(race, heat, entry) for heat in done for entry in heat.entries],
        "error_ratio": error_ratio(done),
        "seeds": race.seeds,
        "versions": versions(),
        "machine": f"{platform.machine()}, {platform.system()}",
    }


def row(race: Race, heat: Heat, entry: Entry) -> dict[str, Any]:
    """One contestant on one stream. `error`: the standard error of accuracy (R2) on this stream."""
    who, judged, mine = entry.contestant, entry.judged, ours(heat)
    found: dict[str, Any] = {
        "stream": heat.stream.name,
        "model": who.model,
        "settings": who.settings,
        "delay": race.delay,
    }
    if race.frames and who.family != OURS:
        found["frames"] = True
    if judged is None:
        return found | {"failed": entry.failed}
    found |= {"n": len(judged.losses), **judged.figures, "error": judged.error}
    if judged.seed_error is not None:
        found["seed_error"] = judged.seed_error
    if judged.recovery is not None:
        found["recovery_events"], found["never_recovered"] = judged.recovery
    if mine is not None:
        found["cpu_ratio"] = found["cpu_us_per_event"] / mine.figures["cpu_us_per_event"]
        if judged is not mine:
            found["headrace_ahead"], found["headrace_ahead_error"] = ahead(mine, judged)
    return found


def versions() -> dict[str, str]:
    """Of everything that a figure depends on."""
    found = {"python": platform.python_version()}
    for name in ("headrace", "river", "capymoa", "numba", "numpy", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
