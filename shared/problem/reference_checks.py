"""What sections on references, and features that look something up there, cannot say by their shape."""

from collections.abc import Iterator
from datetime import timedelta

from shared.problem.input_checks import KEY_TYPES, field_mistakes
from shared.problem.mistakes import Mistake, Path, nearest
from shared.problem.spec import FieldSpec, Lookup, Problem

_OF_EVENTS = ("outliers", "outlier_limit", "scale", "absent_in")
"""Options of a field that look back at the past of an event's key, or at where an event comes from."""


def references_mistakes(problem: Problem) -> Iterator[Mistake]:
    """References: fields with options that fit, a key that events have."""
    for name, spec in problem.references.items():
        path: Path = ("references", name)
        if not spec.fields:
            yield Mistake((*path, "fields"), "there is no field", "`price: {type: number}`")
        for field, declared in spec.fields.items():
            yield from field_mistakes(declared, (*path, "fields", field))
            yield from _of_events(declared, (*path, "fields", field))
        if spec.expire is not None and spec.expire <= timedelta(0):
            yield Mistake((*path, "expire"), "it must be positive", "a duration such as 90d")
        if spec.time is not None and spec.path is None:
            yield Mistake(
                (*path, "time"), "it is a column of a file, and there is none",
                "`path: FILE.csv` beside it (records on the topic say `time` themselves)", key=True,
            )  # fmt: skip
        if not any(lookup.reference == name for lookup in problem.lookups):
            yield Mistake(
                path, "nothing looks it up",
                f"`{{kind: lookup, reference: {name}}}` under `features`", key=True,
            )  # fmt: skip


def _of_events(spec: FieldSpec, path: Path) -> Iterator[Mistake]:
    for option in _OF_EVENTS:
        if option in spec.model_fields_set:
            wrong = f"`{option}` is for fields of events; a reference has no past of its own"
            yield Mistake((*path, option), wrong, "the field without it", key=True)
    if spec.missing not in ("keep", "reject", "flag"):
        wrong = f"`missing: {spec.missing}` is for fields of events"
        yield Mistake((*path, "missing"), wrong, "keep, reject or flag")
    if spec.encode == "frequency":
        wrong = "a frequency counts values of events"
        yield Mistake((*path, "encode"), wrong, "onehot or hash")


def lookup_mistakes(lookup: Lookup, problem: Problem, path: Path) -> Iterator[Mistake]:
    """One lookup: what it names is there."""
    spec = problem.references.get(lookup.reference)
    if spec is None:
        wrong = f"there is no reference `{lookup.reference}`"
        yield Mistake(
            (*path, "reference"), wrong, nearest(lookup.reference, list(problem.references))
        )
        return
    for index, name in enumerate(lookup.fields or ()):
        if name not in spec.fields:
            wrong = f"`{lookup.reference}` has no field `{name}`"
            yield Mistake((*path, "fields", index), wrong, nearest(name, list(spec.fields)))
    by = lookup.by or spec.key
    known = [name for name, field in problem.events.fields.items() if field.type in KEY_TYPES]
    if by not in known:
        at: Path = (*path, "by") if lookup.by else ("references", lookup.reference, "key")
        there = by in problem.events.fields
        wrong = f"the event's field `{by}` is no key" if there else f"events have no field `{by}`"
        yield Mistake(at, wrong, nearest(by, known))
