"""Audit and coverage in one line each, for `headrace status` and the end of a run."""

from collections.abc import Iterable
from typing import Any

import msgspec

from services.console.audits import KINDS, Audited
from services.console.coverage import Covered
from services.console.words import count, counted, listed, moment, share


def standing(entries: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    """Both as plain JSON values, from what a board saved of them; `text` is the line."""
    found = dict(entries)
    audited = msgspec.msgpack.decode(found["audits"], type=Audited) if "audits" in found else None
    covered = (
        msgspec.msgpack.decode(found["coverage"], type=Covered) if "coverage" in found else None
    )
    return {"audit": audit_standing(audited), "coverage": coverage_standing(covered)}


def audit_standing(found: Audited | None) -> dict[str, Any]:
    """Rates of the feature that differs most, over all windows so far; None: there is none."""
    if found is None or not (found.compared or found.unmatched or found.unfounded):
        return {"text": "nothing compared yet: a window of event time ends first (audit.window); "
                        "none ever is with audit.share 0"}  # fmt: skip
    sums = {name: {kind: getattr(f, kind) for kind in KINDS} for name, f in found.features.items()}
    worst = max(sums, key=lambda name: (sum(sums[name].values()), name), default=None)
    counts = dict.fromkeys(KINDS, 0) if worst is None else sums[worst]
    rates = {kind: counts[kind] / found.compared if found.compared else None for kind in KINDS}
    told = ", ".join(f"{kind} {share(counts[kind], found.compared)}" for kind in KINDS)
    where = "in every feature" if worst is None else f"in {worst}, the worst of {len(sums)}"
    rest = [
        f"{count(n)} {what}"
        for n, what in (
            (found.unmatched, "without a raw event"),
            (found.foreign, "by another definition"),
            (found.unfounded, "not compared: begun later"),
        )
        if n
    ]
    return {
        "compared": found.compared,
        "rates": rates,
        "feature": worst,
        "differing": sorted(sums),
        "unmatched": found.unmatched,
        "unfounded": found.unfounded,
        "foreign": found.foreign,
        "windows": found.windows,
        "since": found.since,
        "until": found.until,
        "text": f"{told} ({where}) of {counted(found.compared, 'prediction')} whose features were "
        f"folded anew from raw events; {'; '.join([*rest, _span(found)])}",
    }


def _span(found: Audited) -> str:
    since = "" if found.since is None else f" from {moment(found.since)}"
    return f"{counted(found.windows, 'window')}{since} to {moment(found.until)}"


def coverage_standing(found: Covered | None) -> dict[str, Any]:
    """Labels of predictions; the classes and slices with too few of them to show a figure."""
    if found is None:
        return {"text": "no prediction yet"}
    least = max(1, found.least)
    below = {
        kind: [name for name, group in groups.items() if group.labels < least]
        for kind, groups in (("classes", found.classes), ("slices", found.slices))
    }
    whole = found.whole
    told = [
        f"{count(whole.labels)} of {counted(whole.predictions, 'prediction')} "
        f"({share(whole.labels, whole.predictions)}) have a label"
    ]
    for (kind, names), groups in zip(below.items(), (found.classes, found.slices), strict=True):
        if groups:
            few = f"{len(names)} of {len(groups)} {kind} below {least} labels"
            told.append(few + (f": {listed(names)}" if names else ""))
    return {
        "predictions": whole.predictions,
        "labels": whole.labels,
        "minimum_support": found.least,
        "classes": len(found.classes),
        "classes_below": below["classes"],
        "slices": len(found.slices),
        "slices_below": below["slices"],
        "text": f"{'; '.join(told)} (evaluation.minimum_support)" if len(told) > 1 else told[0],
    }
