"""The model card and the data card of one version, as one page that needs nothing beside it.

After Mitchell et al., *Model Cards for Model Reporting* (FAT* 2019), and Gebru et al., *Datasheets for
Datasets* (CACM 2021), as far as the log holds the answers; each figure says what it is where it stands.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from msgspec.structs import replace

from services.console.core import Board
from services.console.evidence import Sheet, job_sheets, sheets
from services.console.panels import published
from services.console.words import count, moment, plain, share, title
from shared.messages.types import Job, ModelEvent
from shared.problem.spec import Problem
from shared.registry.manifest import Manifest, read_manifest

_TEMPLATES = Path(__file__).parent / "templates"
FOLLOWED = {
    "weights": "its batch-trained part is a sum of terms: the weights can be read",
    "rules": "its batch-trained part is one tree: an answer is a path of conditions",
    "examples": "its batch-trained part answers from past rows that can be shown",
    "none": "its batch-trained part cannot be followed by a person: judge it by its figures",
}


POLICIES = {
    "window": "the newest of the range",
    "all": "everything on the log, the newest up to the budget",
    "recency": "the newest half, and a random half of those before, older rows less often",
    "reservoir": "the newest half, and a random half of those before, as many of each class",
}


class Facts(msgspec.Struct, frozen=True):
    """What the log says of a version. `steps`: its records on `models`, without snapshots. `jobs`: the
    records of the job that made it. `published`: what it has answered so far, in words.
    """

    version: str
    steps: Sequence[ModelEvent]
    jobs: Sequence[Job]
    published: str


class Row(msgspec.Struct, frozen=True):
    """A figure with what it is."""

    name: str
    value: str
    about: str = ""


class Part(msgspec.Struct, frozen=True):
    """A section of the card."""

    name: str
    about: str
    rows: list[Row] = []
    sheets: list[Sheet] = []


def facts_of(board: Board) -> dict[str, Facts]:
    """What a board knows of each version."""
    steps: dict[str, list[ModelEvent]] = {}
    for step in board.live.history:
        steps.setdefault(step.event.model, []).append(step.event)
    made_by = {row.job.model: row for _, row in board.ledger.jobs.items()}
    found = {}
    for version, events in steps.items():
        row = made_by.get(version)
        jobs = [] if row is None else [replace(row.job, reason=row.steps[0].text), row.job]
        jobs += [] if row is None or row.settled is None else [row.settled]
        said = published(board, version)
        found[version] = Facts(version, events, jobs, said)
    return found


def card_page(problem: Problem, facts: Facts) -> str:
    """The whole page; everything in it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["count"] = count
    found = next((step.manifest for step in facts.steps if step.manifest is not None), None)
    manifest = None if found is None else read_manifest(found)
    told = [job for job in facts.jobs if job.state != "settled"]
    evidence = next((job.evidence for job in reversed(told) if job.evidence), {})
    parts = [_identity(problem, facts, manifest, evidence), _lineage(facts, manifest)]
    if manifest is not None:
        parts += [
            _tested(problem, manifest, evidence),
            _data(problem, manifest),
            _made(manifest, found or {}),
        ]
    parts.append(_decisions(facts.steps))
    page = environment.get_template("card.html")
    return page.render(problem=problem, facts=facts, parts=parts)


def _followed(evidence: Mapping[str, Any]) -> str:
    return FOLLOWED.get(str(evidence.get("interpretability")), "")


def _identity(
    problem: Problem, facts: Facts, manifest: Manifest | None, evidence: Mapping[str, Any]
) -> Part:
    state = facts.steps[-1].state if facts.steps else "never taken in"
    kind = manifest.kind if manifest else "the pool of incremental experts, from nothing"
    rows = [
        Row("Version", facts.version, f"{state}; its decisions are at the end"),
        Row("What it is for", problem.goal, f"task: {problem.task}; owner: {problem.owner or '–'}"),
        Row("What it is", kind, "a version is the shared pool of experts that go on learning, a "
            "batch-trained part of its own (frozen), and the weights that mix them"),
        Row("Its label", problem.label.field or problem.name, _labels(problem)),
        Row("Its features", count(len(manifest.features) if manifest else
            len(problem.model_names)), "columns, in a fixed order; it is refused anywhere else"),
    ]  # fmt: skip
    if followed := _followed(evidence):
        rows.append(Row("Can it be followed?", str(evidence["interpretability"]), followed))
    if size := evidence.get("size_bytes"):
        rows.append(
            Row("Size", f"{count(size)} bytes", "of the batch-trained part, as it is served")
        )
    if seconds := evidence.get("one_row_seconds"):
        told = (
            "CPU of one event alone through the batch-trained part, on the machine that fitted it"
        )
        rows.append(Row("Latency", f"{seconds * 1e6:,.0f} µs", told))
    return Part("What it is", "", rows)


def _labels(problem: Problem) -> str:
    label = problem.label
    classes = f"classes: {plain(label.classes)}; " if label.classes else ""
    return f"{classes}{problem.task}"


def _lineage(facts: Facts, manifest: Manifest | None) -> Part:
    """Outcomes, job, candidate, version, predictions."""
    rows = []
    if manifest is not None:
        span = f"{count(manifest.start)} to {count(manifest.end)}"
        rows.append(Row("Outcomes", span, "offsets of the stream outcomes, the end excluded: "
                        "labelled predictions, with the features that were served"))  # fmt: skip
    for job in facts.jobs[:1]:
        rows.append(Row("Job", job.job, f"asked for by {job.trigger}: {job.reason}"))
    if manifest is not None:
        rows.append(Row("Candidate", manifest.kind, "family, and the form in which it is served"))
        parent = f"made beside {manifest.parent}, the champion then"
        rows.append(Row("Version", facts.version, parent))
    elif facts.steps:
        rows.append(Row("Version", facts.version, facts.steps[0].reason))
    rows.append(Row("Predictions", facts.published, "each names its version; they are on the "
                    "stream predictions and in the archive"))  # fmt: skip
    for job in facts.jobs:
        if job.state == "settled":
            rows.append(
                Row("What it gained", job.reason, "errors and prices in the metric's loss")
            )
    about = "From the data to the answers; headrace models rebuild makes it again and compares."
    return Part("Where it comes from", about, rows)


def _tested(problem: Problem, manifest: Manifest, evidence: Mapping[str, Any]) -> Part:
    """The acceptance test on the rows held back."""
    metrics, rows = manifest.metrics, evidence.get("rows") or manifest.selection
    sure = f"{problem.acceptance.confidence:.0%}"
    gain = f"{plain(metrics.get('gain_low'))} to {plain(metrics.get('gain_high'))}"
    unit = evidence.get("loss", "the metric's loss")
    told = [
        Row(title(problem.metric), plain(metrics.get(problem.metric)),
            f"over {plain(int(metrics.get('rows', 0)))} rows that it had not seen, the newest there"),
        Row("Gain", plain(metrics.get("gain")), f"mean loss ({unit}) saved against what the champion "
            f"published for the same rows; {sure} interval {gain}, widened for autocorrelation"),
        Row("Looks", plain(rows.get("looks", 1)), "jobs that have tested a candidate on any of these "
            "rows, this one included: the more, the likelier is luck"),
    ]  # fmt: skip
    shown = job_sheets({k: v for k, v in evidence.items() if k != "rows"})
    about = (
        "A candidate is chosen on later training rows and tested once on the rows held back, beside "
        "the champion and every baseline. The worst slices are picked after the fact, so they look "
        "too bad. What happened on live events since is under Decisions."
    )
    return Part("How it was tested", about, told, shown)


def _data(problem: Problem, manifest: Manifest) -> Part:
    """The data card."""
    used = dict(manifest.selection)
    given = int(used.get("given", 0))
    named = {
        "given": "outcomes in the range",
        "used": f"rows ({share(int(used.get('used', 0)), given)} of those given)",
        "train": "rows that it was fitted on: labelled before the first row held back",
        "embargo": "rows between: not labelled yet when the first row held back came",
        "held_back": f"rows kept for the test: the newest {problem.evaluation.holdback:.0%}",
        "policy": POLICIES.get(str(used.get("policy")), ""),
        "digest": "SHA-256 of the content: the same digest, the same data",
        "first": "event time of its first row",
        "held_first": "event time of the first row held back",
        "held_last": "event time of its last row",
    }
    rows = [Row(title(k), plain(used[k]), about) for k, about in named.items() if k in used]
    label = problem.label
    rows.append(Row("Labels", f"{problem.task}", f"waited for {label.wait or '–'}; of a corrected "
                    "label the newest counts; a default is used where declared"))  # fmt: skip
    fields = [
        {"field": name, "type": spec.type, "unit": spec.unit or "", "required": spec.required}
        for name, spec in problem.events.fields.items()
    ]
    counts = sheets({k: used[k] for k in ("labels", "left_out") if used.get(k)})
    about = (
        "The rows are what was served: features as they were logged with each prediction, so what it "
        "learned from is what it is given. Nothing is known here of who collected the events, or of "
        "consent: ask the owner of the source."
    )
    return Part("Its data", about, rows, [*counts, *sheets({"fields": fields})])


def _made(manifest: Manifest, signed: Mapping[str, Any]) -> Part:
    key = (signed.get("signature") or {}).get("key", "–")
    rows = [
        Row("Artefact", manifest.artefact.digest, f"SHA-256 of {count(manifest.artefact.size_bytes)} "
            "bytes of plain arrays: nothing in it can run"),
        Row("Signed by", key, "Ed25519; whoever serves it checks that first"),
        Row("Code", manifest.code, "SHA-256 of the training source"),
        Row("Feature set", manifest.feature_set, "digest of the features' definitions"),
        Row("Seeds", plain(manifest.seeds), "with them, the same data, code and libraries give the "
            "same bytes"),
        Row("Libraries", plain(manifest.libraries), ""),
    ]  # fmt: skip
    return Part("How it was made", "", rows)


def _decisions(steps: Sequence[ModelEvent]) -> Part:
    rows = [
        Row(f"{step.state}, {moment(step.time)}", step.by or "–", step.reason) for step in steps
    ]
    live = next((step.evidence for step in reversed(steps) if step.evidence), {})
    return Part("Decisions", "Newest last; the evidence is of the last that had some.", rows,
                sheets(live))  # fmt: skip
