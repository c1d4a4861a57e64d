"""Everybody over every stream: each lap in a process of its own, one after another, one thread."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits

from shared.bench.contestants import OURS, Contestant, contestants
from shared.bench.course import Lap, go
from shared.bench.judging import Judged, judge
from shared.bench.streams import Stream, find_streams, framed, read_stream

_PRELOADED = ["shared.bench.learning"]


@dataclass(frozen=True, slots=True)
class Race:
    """What is run. `families`: who beside us (empty: all); `most_s`: CPU seconds a lap, 0: no end;
    `frames`: peers are given the pool's view of the features too.
    """

    data: Path
    only: tuple[str, ...] = ()
    target: str = ""
    rows: int = 0
    delay: int = 0
    seeds: int = 1
    families: tuple[str, ...] = ()
    most_s: float = 300.0
    frames: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A contestant on a stream; `failed` says why there is no judgement."""

    contestant: Contestant
    judged: Judged | None
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Heat:
    """Everybody on one stream, ours first."""

    stream: Stream
    entries: list[Entry]


def heats(race: Race, tell: Callable[[str], None]) -> Iterator[Heat]:
    """One heat a stream, as they are done; `tell` hears of each lap.

    Raises:
        UsageError: the data cannot be read, or nobody is called so.
    """
    for path in find_streams(race.data, race.only):
        stream = read_stream(path, race.target, race.rows)
        entries = []
        for contestant in contestants(stream, race.families):
            entries.append(_entry(race, path, stream, contestant))
            tell(_told(stream, entries[-1]))
        yield Heat(stream, entries)


def _entry(race: Race, path: Path, stream: Stream, contestant: Contestant) -> Entry:
    seeds = range(1, race.seeds + 1) if contestant.seeded else range(1, 2)
    try:
        laps = [_apart(race, path, contestant, seed) for seed in seeds]
    except Exception as error:  # noqa: BLE001  a peer's bug is a result, not the end of the bench
        why = f"{type(error).__name__}: {error}".strip(": ").splitlines()[0]
        return Entry(contestant, None, why)
    return Entry(contestant, judge(stream, laps, race.delay))


def _apart(race: Race, path: Path, contestant: Contestant, seed: int) -> Lap:
    """In a fresh process, so that memory and compiled code are its own.

    Raises:
        RuntimeError: the process died. Whatever the contestant raises.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(
                _lap, race, path, contestant.model, contestant.settings, seed
            ).result()
        except BrokenProcessPool as error:
            raise RuntimeError("its process died; out of memory?") from error


def _lap(race: Race, path: Path, model: str, settings: str, seed: int) -> Lap:
    stream = read_stream(path, race.target, race.rows)
    found = next(
        c for c in contestants(stream, race.families) if (c.model, c.settings) == (model, settings)
    )
    if race.frames and found.family != OURS:
        stream = framed(stream)
    with threadpool_limits(1):
        make = found.prepare(stream, seed)
        return go(make, stream, race.delay, found.block, race.most_s)


def _told(stream: Stream, entry: Entry) -> str:
    who = f"{stream.name}: {entry.contestant.model} ({entry.contestant.settings})"
    if entry.judged is None:
        return f"{who} failed: {entry.failed}"
    figure = "R2" if stream.regression else "accuracy"
    cost = entry.judged.figures["cpu_us_per_event"]
    return f"{who}: {figure} {entry.judged.value:.4f}, {cost:.0f} us an event"


def ours(heat: Heat) -> Judged | None:
    """The judgement of the product's own model."""
    return heat.entries[0].judged


def best_peer(heat: Heat) -> Entry | None:
    """The best of the others over all rows that ours did; who was cut short does not count."""
    mine = ours(heat)
    whole = [
        entry
        for entry in heat.entries
        if entry.contestant.family != heat.entries[0].contestant.family
        and entry.judged is not None
        and mine is not None
        and len(entry.judged.losses) >= len(mine.losses)
    ]
    return max(whole, key=lambda e: e.judged.value if e.judged else 0.0) if whole else None


def error_ratio(found: Sequence[Heat]) -> float | None:
    """The geometric mean over the streams of our error over the best peer's on that stream."""
    product, n = 1.0, 0
    for heat in found:
        mine, peer = ours(heat), best_peer(heat)
        if mine is not None and peer is not None and peer.judged is not None:
            product *= max(1e-9, 1 - mine.value) / max(1e-9, 1 - peer.judged.value)
            n += 1
    return product ** (1 / n) if n else None
