"""`check_stage`: the executable contract of a stage (DESIGN section 7)."""

from collections.abc import Callable, Sequence
from copy import deepcopy

from shared.messages.codec import encode
from shared.stage import Out, Record, Service, Stage


def outputs(outs: list[Out]) -> list[tuple[str, str | None, bytes]]:
    return [(str(o.stream), o.key, encode(o.value)) for o in outs if o.durable]


def fold(stage: Stage, records: Sequence[Record], size: int) -> list[Out]:
    outs: list[Out] = []
    for at in range(0, len(records), size):
        outs.extend(stage.handle(records[at : at + size]))
    return outs


def state(stage: Stage) -> dict[str, bytes]:
    return {key: value for key, value in stage.changes() if value is not None}


def check_stage(
    service: Service, make: Callable[[], Stage], records: Sequence[Record], cuts: Sequence[int]
) -> list[Out]:
    """Same input twice: same bytes. Any split: same outputs. Snapshot and restore at every cut changes
    nothing. Inputs unmodified. Only declared streams. Returns the outputs, to be asserted on.
    """
    before = deepcopy([encode(record.value) for record in records])
    whole = list(make().handle(records))
    expected = outputs(whole)
    assert {o.stream for o in whole} <= set(service.writes), "writes a stream it did not declare"
    assert before == [encode(record.value) for record in records], "an input was modified"
    assert outputs(list(make().handle(records))) == expected, "same input twice, other outputs"
    for size in (1, 2, 7):
        assert outputs(fold(make(), records, size)) == expected, f"batches of {size} differ"
    for cut in cuts:
        _check_cut(make, records, cut, expected)
    return whole


def _check_cut(
    make: Callable[[], Stage],
    records: Sequence[Record],
    cut: int,
    expected: list[tuple[str, str | None, bytes]],
) -> None:
    """Entries are collected as a log would: several saves, each only what changed."""
    first = make()
    entries: dict[str, bytes] = {}
    outs: list[Out] = []
    for part in (records[: cut // 2], records[cut // 2 : cut]):
        outs.extend(first.handle(part))
        for key, value in first.changes():
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
    second = make()
    if entries:
        second.restore(entries)
    outs.extend(second.handle(records[cut:]))
    assert outputs(outs) == expected, f"restoring at {cut} changed the outputs"
