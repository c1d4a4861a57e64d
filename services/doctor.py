"""`headrace doctor`: one line for each thing that must be right, with the mend where it is not."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from pydantic import ValidationError

from services import discover, inspection
from shared import wiring
from shared.errors import (
    Fatal,
    Fenced,
    HeadraceError,
    Retryable,
    UntrustedArtefact,
    UsageError,
)
from shared.finding import Finding, ok, warn, wrong
from shared.messages.streams import REJECTED
from shared.problem.load import load_problem
from shared.problem.spec import Problem
from shared.runtime.clock import elapsed_s, now
from shared.settings import Settings, load

BOUND_S = 9.5
_WAL_RESET_MENDED = (3, 51, 3)
_LITTLE_BYTES, _TOO_LITTLE_BYTES = 2 << 30, 200 << 20

Look = Callable[[], Iterator[Finding]]


def examine(problem_file: Path, data_dir: Path | None) -> Iterator[Finding]:
    """Findings as they come, within 10 s also where hosts swallow packets."""
    try:
        settings = load()
    except ValidationError as error:
        for mistake in error.errors():
            name = f"HEADRACE_{'_'.join(map(str, mistake['loc'])).upper()}"
            yield wrong("settings", f"{name}: {mistake['msg']}", f"correct or unset {name}")
        return
    yield ok("settings", f"log {settings.log or 'in the data directory (SQLite)'}")
    try:
        problem = load_problem(problem_file)
    except HeadraceError as error:
        yield wrong("problem file", str(error), f"correct {problem_file}")
        return
    yield ok("problem file", f"{problem.name}: {problem.goal}")
    directory = data_dir or inspection.RUNS / problem.name
    yield from _together(_looks(settings, problem, directory))


@contextmanager
def explaining(settings: Settings, problem: Problem, names: Sequence[str]) -> Iterator[None]:
    """Around the work of the services `names`: what cannot work ends with its cause and the mend.

    Raises:
        Fatal: nothing can be done there from the start; or the block ended by an error with a cause.
    """
    chosen = [service for service in discover() if service.name in names]
    reads = {stream for service in chosen for stream in service.reads}
    writes = {stream for service in chosen for stream in service.writes}
    if any(service.build is not None for service in chosen):
        writes.add(REJECTED)  # by the runner: a record that makes a stage fail
    prevented = wiring.log_refusal(settings, problem.name, reads, writes, quick=True)
    if prevented:
        raise prevented
    try:
        yield
    except (Fenced, UsageError):
        raise
    except (Fatal, Retryable) as error:
        raise wiring.log_refusal(settings, problem.name, reads, writes) or error from error


def _looks(settings: Settings, problem: Problem, directory: Path) -> dict[str, Look]:
    return {
        "kafka": lambda: wiring.examined_log(
            settings, problem.name, lambda: int(now().timestamp() * 1_000)
        ),
        "redis": lambda: wiring.examined_online(settings),
        "sqlite": lambda: _sqlite(settings),
        "blobs": lambda: _blobs(settings, directory),
        "signing key": lambda: _key(settings, problem, directory),
        "disk": lambda: _disk(directory),
    }


def _together(looks: dict[str, Look]) -> Iterator[Finding]:
    """All looks at once; what has not ended in time is a finding itself."""
    said: Queue[tuple[str, Finding | None]] = Queue()

    def run(name: str, look: Look) -> None:
        try:
            for finding in look():
                said.put((name, finding))
        except (HeadraceError, OSError, ValueError) as error:
            said.put((name, wrong(name, str(error), "see the message")))
        finally:
            said.put((name, None))

    for name, look in looks.items():
        Thread(target=run, args=(name, look), daemon=True).start()
    open_looks, until_s = set(looks), elapsed_s() + BOUND_S
    while open_looks:
        try:
            name, finding = said.get(timeout=max(0.0, until_s - elapsed_s()))
        except Empty:
            for name in sorted(open_looks):
                text = f"no end within {BOUND_S:g} s"
                yield wrong(
                    name, text, "something does not answer: see the lines above, the network"
                )
            return
        if finding is None:
            open_looks.discard(name)
        else:
            yield finding


def _sqlite(settings: Settings) -> Iterator[Finding]:
    version = sqlite3.sqlite_version_info
    if version >= _WAL_RESET_MENDED or settings.log.startswith("kafka://"):
        yield ok("sqlite", sqlite3.sqlite_version)
        return
    text = f"{sqlite3.sqlite_version} has the WAL-reset bug: two writers of one file can damage it"
    mend = "Headrace lets one process write; let no other tool write to log.db, or use 3.51.3 or newer"
    yield warn("sqlite", text, mend)


def _blobs(settings: Settings, directory: Path) -> Iterator[Finding]:
    where = settings.blobs or str(directory / "blobs")
    try:
        store = wiring.open_blobs(settings.blobs, directory)
        sample = b"headrace doctor"
        digest = store.put(sample)
        same = store.get(digest) == sample
        store.delete(digest)
    except (HeadraceError, OSError) as error:
        yield wrong(
            "blobs", f"{where}: {error}", "check HEADRACE_BLOBS, and the rights to write there"
        )
        return
    if same:
        yield ok("blobs", f"{where}: written, read back, deleted")
    else:
        yield wrong(
            "blobs", f"{where}: what was read is not what was written", "use another store"
        )


def _key(settings: Settings, problem: Problem, directory: Path) -> Iterator[Finding]:
    path = settings.signing_key or directory / wiring.KEY
    if not path.exists():
        if settings.signing_key:
            yield wrong("signing key", f"{path} is missing", "correct HEADRACE_SIGNING_KEY")
        else:
            yield ok("signing key", "none yet: the first run makes one")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield wrong("signing key", f"{path} may be read by others ({mode:o})", f"chmod 600 {path}")
    if not os.access(path, os.R_OK):
        yield wrong("signing key", f"{path} cannot be read", "run as its owner")
        return
    keys = wiring.open_keys(settings, directory)
    yield ok("signing key", f"{path}: key {keys.signer.key_id}")
    yield from _models_key(settings, problem, directory, keys)


def _models_key(
    settings: Settings, problem: Problem, directory: Path, keys: wiring.Keys
) -> Iterator[Finding]:
    """Does it trust the models on the log that are at work?"""
    if not settings.log and not (directory / "log.db").exists():
        return
    signed, at_work = inspection.at_work(inspection.Run(directory, problem.name))
    if not signed:
        yield ok("models", "none is signed yet")
        return
    mend = (
        "give this process the key that signed it (HEADRACE_SIGNING_KEY, or its public key in "
        "HEADRACE_TRUSTED_KEYS); if that key was revoked: `headrace models rollback`, or retrain"
    )
    distrusted = 0
    for name, manifest in signed.items():
        try:
            if name in at_work:
                keys.verifier.check(manifest)
        except UntrustedArtefact as why:
            distrusted += 1
            yield wrong("models", f"{name}: {why}", mend)
    if not distrusted:
        yield ok("models", "what is at work is signed with trusted keys")


def _disk(directory: Path) -> Iterator[Finding]:
    place = directory.absolute()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        yield wrong(
            "data directory", f"{place} cannot be written", "run as its owner, or --data-dir"
        )
        return
    free = shutil.disk_usage(place).free
    text = f"{place}: {free / (1 << 30):.1f} GiB free"
    if free < _TOO_LITTLE_BYTES:
        yield wrong("data directory", text, "make room, or name another with --data-dir")
    elif free < _LITTLE_BYTES:
        yield warn("data directory", text, "make room before it is full")
    else:
        yield ok("data directory", text)
