"""The report: one HTML file that needs nothing else, neither network nor scripts."""

import msgspec
import numpy as np
import numpy.typing as npt

from services.console.data import DataPage
from services.console.pages import STATIC, environment
from services.console.words import counted, number
from shared.features.profile.block import Block

F64 = npt.NDArray[np.float64]

MOST_SCATTERS = 6
ALIKE = 0.9999
"""Beyond this |r| two features are the same for a scatter plot."""


class Scatter(msgspec.Struct, frozen=True):
    """Two features of the sampled rows; places in a square of 100, x to the right, y down."""

    across: str
    up: str
    text: str
    points: list[tuple[float, float]]
    x_axis: tuple[str, str]
    y_axis: tuple[str, str]


class Report(msgspec.Struct, frozen=True):
    """Everything in the file. `alerts`: since when, severity, what."""

    name: str
    goal: str
    data: DataPage
    scatters: list[Scatter]
    sampled: int
    alerts: list[tuple[str, str, str]]


def report_html(report: Report) -> str:
    """The file's text."""
    styles = "\n".join((STATIC / name).read_text() for name in ("page.css", "data.css"))
    return environment().get_template("report.html").render(report=report, styles=styles)


def scatters(sample: F64, block: Block) -> list[Scatter]:
    """Plots of the pairs of features that go together most, over `sample` [n, p]."""
    r, n = block.correlation()
    places = [
        (i, j)
        for i, j in zip(*np.tril_indices(len(r), -1), strict=True)
        if np.isfinite(r[i, j]) and abs(r[i, j]) < ALIKE
    ]
    places.sort(key=lambda place: -abs(r[place]))
    return [
        _scatter(
            (block.names[j], block.names[i]),
            sample[:, [j, i]],
            f"r {r[i, j]:.2f} over {counted(int(n[i, j]), 'row')}",
        )
        for i, j in places[:MOST_SCATTERS]
    ]


def _scatter(names: tuple[str, str], rows: F64, text: str) -> Scatter:
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows):
        return Scatter(*names, text, [], ("", ""), ("", ""))
    low, high = rows.min(axis=0), rows.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.where((high > low) & np.isfinite(high - low), high - low, 1.0)
        at = np.nan_to_num((rows - low) / size)
    points = [(2 + 96 * x, 98 - 96 * y) for x, y in at.clip(0, 1).tolist()]
    (x_low, y_low), (x_high, y_high) = low.tolist(), high.tolist()
    axes = (number(x_low), number(x_high)), (number(y_low), number(y_high))
    return Scatter(*names, text, points, *axes)
