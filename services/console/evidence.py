"""Evidence of any shape as small tables: whoever decides may put what it likes on the record."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.console.words import plain, title

MOST_ROWS = 40
MOST_COLUMNS = 12
MOST_CHARACTERS = 300
_FIGURES = {
    "gap": "gap: loss on later rows less the loss on those it was fitted on; large is overfitting",
    "brier": "brier: squared distance of stated probabilities from what came, 0 to 2, less is better",
    "calibration_error": "calibration error: how far stated confidence is from the share of hits",
}


class Sheet(msgspec.Struct, frozen=True):
    """A table of texts; without `columns` its rows are pairs of name and value."""

    name: str
    columns: list[str]
    rows: list[list[str]]
    more: int = 0


def sheets(evidence: Mapping[str, Any], name: str = "") -> list[Sheet]:
    """The evidence as tables: single values as pairs first, lists of records as tables."""
    pairs: list[list[str]] = []
    tables: list[Sheet] = []
    for key, value in evidence.items():
        heading = title(f"{name} {key}".strip())
        if _is_records(value):
            tables.append(_table(heading, value))
        elif isinstance(value, Mapping) and value:
            if all(isinstance(item, Mapping) for item in value.values()):
                tables.append(_table(heading, [{"name": k, **v} for k, v in value.items()]))
            else:
                tables.extend(sheets(value, heading))
        else:
            pairs.append([title(key), _short(value)])
    first = [Sheet(name, [], pairs[:MOST_ROWS], max(0, len(pairs) - MOST_ROWS))] if pairs else []
    return first + tables


def job_sheets(evidence: Mapping[str, Any]) -> list[Sheet]:
    """A job's evidence: the board of everyone who was tried, then the rest."""
    entries: Sequence[Mapping[str, Any]] = evidence.get("entries") or ()
    if not _is_records(entries):
        return sheets(evidence)
    metric = str(evidence.get("metric", "loss"))
    more_figures = [
        key for key in _FIGURES if any(entry.get(key) is not None for entry in entries)
    ]
    columns = [
        "who",
        title(metric),
        "loss, interval",
        "gain over the champion",
        *map(title, more_figures),
        "rows",
        "fitted on",
    ]
    rows = [
        [
            f"{entry.get('role', '')}: {entry.get('name', '')}",
            plain(entry.get(metric)),
            f"{plain(entry.get('loss'))} ({plain(entry.get('low'))} to {plain(entry.get('high'))})",
            _short(entry.get("gain")),
            *(plain(entry.get(key)) for key in more_figures),
            plain(entry.get("n")),
            plain(entry.get("fit_rows") or None),
            _short(entry.get("reason")),
        ]
        for entry in entries[:MOST_ROWS]
    ]
    more = max(0, len(entries) - MOST_ROWS)
    rest = {key: value for key, value in evidence.items() if key != "entries"}
    name = "; ".join(
        [
            "Everyone who was tried (candidates on later training rows, others on the rows held back)",
            *(_FIGURES[key] for key in more_figures),
        ]
    )
    return [Sheet(name, [*columns, "why"], rows, more), *sheets(rest)]


def _is_records(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str | bytes)
        and bool(value)
        and all(isinstance(item, Mapping) for item in value)
    )


def _table(name: str, records: Sequence[Mapping[str, Any]]) -> Sheet:
    columns = list(dict.fromkeys(key for record in records for key in record))[:MOST_COLUMNS]
    rows = [[_short(record.get(c)) for c in columns] for record in records[:MOST_ROWS]]
    return Sheet(name, [title(c) for c in columns], rows, max(0, len(records) - MOST_ROWS))


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and {"mean", "low", "high"} <= set(value):
        low, high = plain(value["low"]), plain(value["high"])
        return f"{plain(value['mean'])} ({low} to {high})"
    text = plain(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
