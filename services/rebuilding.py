"""A model version outside its run: made again from the log, or written out as files."""

from pathlib import Path
from typing import Any

import msgspec

from services import inspection
from services.inspection import Run, messages
from services.onnx_export import ROWS, NotExported, onnx_form
from services.trainer.request import FitResult, rows_of
from services.trainer.shell import InlineTraining, request_of
from shared import wiring
from shared.durable import write_durably
from shared.errors import UsageError
from shared.messages.streams import JOBS, MODELS, OUTCOMES, PREDICTIONS
from shared.messages.types import Job, ModelEvent
from shared.models.rows import matrix
from shared.problem.spec import Problem
from shared.registry.artefact import Expected, verified
from shared.registry.manifest import Manifest, canonical, read_manifest
from shared.settings import load

_PAGE = 1_000
ONNX = "model.onnx"
FILES = {"artefact": "model.arrays", "estimator": "estimator.skops"}


def rebuild(run: Run, problem: Problem, version: str) -> dict[str, Any]:
    """Fit `version` anew from its outcomes and compare: `equal` says whether every byte is the same.

    `code` and `libraries` say whether the same ones fitted it; a different result is explained by
    them, or by a problem file that was changed since. `metrics`: then and now.

    Raises:
        UsageError: no such version, it was not trained by a job, or its outcomes are gone.
        UntrustedArtefact: its manifest is not what was signed.
    """
    event = _shadow(run, version)
    then = _trusted(run, event)
    requested = [job for _, job in messages(run, JOBS) if job.job == event.job]
    job: Job = next(job for job in requested if job.state == "requested")
    names = problem.model_names
    training = InlineTraining(lambda start, end: _outcomes(run, start, end), problem, names)
    now = msgspec.convert(training.result(job), FitResult)
    fresh = request_of(job, problem, names, [])
    made = read_manifest(now.manifest) if now.manifest else None
    return {
        "version": version,
        "job": job.job,
        "outcomes": f"{job.start:,} to {job.end:,}",
        "equal": made is not None and made.artefact == then.artefact,
        "digest": then.artefact.digest,
        "rebuilt": made.artefact.digest if made else f"{now.state}: {now.reason}",
        "metrics": {name: [value, made.metrics.get(name) if made else None]
                    for name, value in then.metrics.items()},
        "code": "the same" if fresh.code == then.code else "another version of Headrace",
        "libraries": {name: [then.libraries.get(name), value]
                      for name, value in fresh.libraries.items()
                      if then.libraries.get(name) != value} or "the same",
    }  # fmt: skip


def export(run: Run, version: str, to: Path) -> dict[str, Any]:
    """Write `version` into the directory `to`; every part is verified first.

    `onnx` in the answer names the file of that form, or says why there is none.

    Raises:
        UsageError: no such version, or it was not trained by a job.
        UntrustedArtefact: a part is not what was signed; nothing was written.
    """
    event = _shadow(run, version)
    manifest = _trusted(run, event)
    settings = load()
    blobs = wiring.open_blobs(settings.blobs, run.directory)
    verifier = wiring.open_keys(settings, run.directory).verifier
    assert event.manifest is not None
    parts = {"manifest.json": canonical(event.manifest)}
    for part, name in FILES.items():
        reference = getattr(manifest, part)
        if reference is not None:
            blob = blobs.get(reference.digest)
            parts[name] = verified(blob, event.manifest, verifier, part=part)
    why = ONNX
    try:
        parts[ONNX] = _onnx(run, manifest, parts)
    except NotExported as reason:
        why = f"not written: {reason}"
    to.mkdir(parents=True, exist_ok=True)
    for name, data in parts.items():
        write_durably(to / name, data)
    return {"version": version, "kind": manifest.kind, "directory": str(to), "files": list(parts),
            "onnx": why}  # fmt: skip


def _onnx(run: Run, manifest: Manifest, parts: dict[str, bytes]) -> bytes:
    """Raises NotExported: see there; or the rows to compare on are gone."""
    try:
        first = max(manifest.start, manifest.end - ROWS)
        outcomes = rows_of(_outcomes(run, first, manifest.end))
    except UsageError as gone:
        raise NotExported(str(gone)) from gone
    x = matrix([row.features for row in outcomes], manifest.features)
    estimator, artefact = parts.get(FILES["estimator"]), parts[FILES["artefact"]]
    return onnx_form(estimator, artefact, x, manifest.classes)


def card(run: Run, problem: Problem, version: str, to: Path) -> dict[str, Any]:
    """Write the model card and data card of `version` as one HTML file.

    Raises:
        UsageError: there is no such version.
    """
    from services.console.card import Facts, card_page  # brings the templates

    steps, jobs = inspection.history(run, version)
    page = card_page(problem, Facts(version, steps, jobs, _published(run, version)))
    write_durably(to, page.encode())
    return {"version": version, "card": str(to)}


def _published(run: Run, version: str) -> str:
    """What it has answered, with the offsets."""
    own: list[tuple[int, Any]] = []
    beside = count = 0
    for offset, said in inspection.messages(run, PREDICTIONS):
        beside += version in (said.shadow or {})
        if said.model == version:
            count += 1
            own = [*own[:1], (offset, said.time)]
    told = f"{beside:,} as a shadow beside the champion"
    if not own:
        return f"none as champion, {told}"
    (first, start), (last, end) = own[0], own[-1]
    return (
        f"{count:,} as champion, between the offsets {first:,} and {last:,} of the stream predictions "
        f"({start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}); {told}"
    )


def _shadow(run: Run, version: str) -> ModelEvent:
    """The record that brought `version` in."""
    steps = [e for _, e in messages(run, MODELS) if e.model == version and e.state != "snapshot"]
    if not steps:
        raise UsageError(f"there is no version {version}; `headrace models list` shows them")
    for event in steps:
        if event.manifest is not None and event.job is not None:
            found: ModelEvent = event
            return found
    raise UsageError(
        f"{version} was not trained by a job: it learns from the stream, and its state is in the "
        "snapshots. Name a version that a job made (`headrace models list`)"
    )


def _trusted(run: Run, event: ModelEvent) -> Manifest:
    """Its manifest, once the signature is right."""
    assert event.manifest is not None
    settings = load()
    blobs = wiring.open_blobs(settings.blobs, run.directory)
    manifest = read_manifest(event.manifest)
    verifier = wiring.open_keys(settings, run.directory).verifier
    expected = Expected(version=event.model)
    verified(blobs.get(manifest.artefact.digest), event.manifest, verifier, expected)
    return manifest


def _outcomes(run: Run, start: int, end: int) -> list[bytes]:
    """The outcomes at these offsets, as JSON."""
    reader = wiring.open_reader(load(), *run)
    found: dict[int, bytes] = {}
    place = start
    try:
        while place < end and (records := reader.read([OUTCOMES], {str(OUTCOMES): place}, _PAGE)):
            found.update((record.offset, record.value) for record in records)
            place = records[-1].offset + 1
    finally:
        reader.close()
    rows = [value for offset, value in sorted(found.items()) if offset < end]
    if len(rows) < end - start:
        raise UsageError(
            f"only {len(rows):,} of the outcomes {start:,} to {end:,} are still on the log "
            "(`retention.records`): the version cannot be made again"
        )
    return rows
