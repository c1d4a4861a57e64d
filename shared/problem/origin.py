"""The problem file's section on where `headrace run` finds events, and how a file writes them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from pydantic import Field

from shared.problem.cells import UNIX, formatted_time
from shared.problem.generated import Generate, generate_mistakes
from shared.problem.inputs import Duration, Name, Part
from shared.problem.mistakes import Mistake, Path
from shared.problem.times import EPOCH


class Source(Part):
    """Where `headrace run` finds events when `--events` is not given: a file (relative to this one), or
    a generator.

    All but `path`, `generate` and `tick` says how a file is written; it holds for `--events` too.
    """

    path: str | None = None
    generate: Generate | None = None
    """Made-up events with changes at known places, instead of a file."""
    tick: Duration = timedelta(hours=1)
    """Event time between two ticks in a replay."""
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    """CSV: between two cells. None: `,` `;` `|` or a tab, whichever the header has most of."""
    decimal: Literal[".", ","] = "."
    """CSV: what stands before the decimals; with a comma, dots between thousands are left out."""
    missing: list[str] = Field([])
    """CSV: words that stand for a missing value, beside nothing, NaN, NA, N/A, null and none."""
    time_format: str | None = None
    """How the event's time is written, in the codes of `strptime` (`%d.%m.%Y %H:%M`), or `us`, `ns`
    for Unix time; without a zone it is UTC. None: ISO 8601, or Unix seconds or milliseconds."""
    columns: dict[str, Name] = Field({})
    """A column's name in the file, and the name of the event's field that it becomes."""


def source_mistakes(source: Source) -> Iterator[Mistake]:
    """What the section's shape cannot say."""
    if source.tick <= timedelta(0):
        yield Mistake(("source", "tick"), "a tick must be positive", "a duration such as 1h")
    if (source.path is None) == (source.generate is None):
        yield Mistake(
            ("source",),
            "a source needs a file or a generator, one of the two",
            "`path: events.csv`",
        )
    if source.generate is not None:
        yield from generate_mistakes(source.generate)
    written = source.time_format
    if written is not None and written not in UNIX and not _understood(written):
        yield Mistake(
            ("source", "time_format"),
            f"`{written}` is no format of a time",
            "codes of strptime, such as %d.%m.%Y %H:%M, or us, ns",
        )
    names = list(source.columns.values())
    for column, name in source.columns.items():
        if names.count(name) > 1:
            path: Path = ("source", "columns", column)
            yield Mistake(path, f"two columns become `{name}`", "another name")


def _understood(written: str) -> bool:
    """Whether some time reads back from what `strftime` makes of it."""
    sample = EPOCH.strftime(written)
    return "%" in written and formatted_time(sample, written) != sample
