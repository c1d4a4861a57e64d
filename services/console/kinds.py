"""Categories on the data page: the columns that one field became, as that field's values again."""

from collections.abc import Mapping

import msgspec

from services.console.words import count, counted, share
from shared.features.profile.column import Column
from shared.problem.scalars import identifier, scalar_text
from shared.problem.spec import Problem


class Kinds(msgspec.Struct, frozen=True):
    """One category field. `values`: value, share of the rows that have one, the same beside."""

    name: str
    about: str
    missing: str
    values: list[tuple[str, str, str]]


def grouped(problem: Problem | None) -> dict[str, list[tuple[str, str]]]:
    """The fields that are one column a value: their values with the names of the columns."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, spec in problem.events.fields.items() if problem is not None else ():
        if spec.type == "category" and spec.feature and spec.encode == "onehot":
            texts = [scalar_text(value) for value in spec.categories or ()]
            pairs = [(text, f"{name}_is_{identifier(text)}") for text in texts]
            other = [("(other)", f"{name}_is_other")] if spec.unseen == "other" else []
            found[name] = pairs + other
    return found


def kinds(
    name: str,
    about: str,
    columns: list[tuple[str, str]],
    now: Mapping[str, Column],
    beside: Mapping[str, Column],
) -> Kinds:
    """The shares of one field's values: a column's mean is the share of the rows with its value."""
    there = [(text, now[column], beside.get(column)) for text, column in columns if column in now]
    there.sort(key=lambda row: -row[1].mean)
    first = there[0][1] if there else None
    return Kinds(
        name=name,
        about=about,
        missing=""
        if first is None
        else f"{share(first.missing, first.n + first.missing)} ({count(first.missing)} of "
        f"{counted(first.n + first.missing, 'row')})",
        values=[(text, _share(one), _share(other)) for text, one, other in there],
    )


def _share(column: Column | None) -> str:
    return "–" if column is None or not column.n else share(column.mean * column.n, column.n)
