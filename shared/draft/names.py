"""Names of fields from names of columns, and units that stand in them."""

import re
from collections.abc import Sequence

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_BRACKETS = re.compile(r"[(\[]\s*([^()\[\]]{1,16}?)\s*[)\]]\s*$")
_MOST = 60
_UNITS = {
    "celsius": "°C", "fahrenheit": "°F", "kelvin": "K", "pct": "%", "percent": "%", "cm": "cm",
    "mm": "mm", "km": "km", "kg": "kg", "ms": "ms", "kw": "kW", "kwh": "kWh", "mw": "MW",
    "mwh": "MWh", "hpa": "hPa", "usd": "USD", "eur": "EUR", "kmh": "km/h", "mph": "mph",
    "seconds": "s", "minutes": "min", "hours": "h", "days": "d", "bytes": "B",
}  # fmt: skip


def field_names(columns: Sequence[str]) -> list[str]:
    """A name that formulas can use for each of `columns`: their own where it is one."""
    names: list[str] = []
    kept = {column for column in columns if _NAME.fullmatch(column)}
    for place, column in enumerate(columns, start=1):
        name = column
        if column not in kept:
            name = re.sub(r"[^A-Za-z0-9_]+", "_", column).strip("_")[:_MOST] or f"column_{place}"
            name = f"c_{name}"[:_MOST] if name[0].isdigit() else name
            name = _fresh(name, kept.union(names))
        names.append(name)
    return names


def _fresh(name: str, taken: set[str]) -> str:
    number, fresh = 2, name
    while fresh in taken:
        number, fresh = number + 1, f"{name}_{number}"
    return fresh


def unit_of(column: str) -> str | None:
    """The unit in a column's name: `petal length (cm)`, `temp_celsius`; None where there is none."""
    if match := _BRACKETS.search(column):
        return match[1]
    words = re.split(r"[^a-z0-9]+", column.lower())
    return _UNITS.get(words[-1]) if len(words) > 1 else None
