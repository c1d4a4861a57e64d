"""A sample file, the problem file that `headrace init` writes for it, and what becomes of its rows."""

from pathlib import Path
from typing import NamedTuple

from services.cli import app
from services.collector.replay import arrivals
from services.collector.sources.table import rows_of
from services.validator.core import Validator
from shared.features.feature_set import FeatureSet
from shared.messages.streams import EVENTS, LABELS, REJECTED
from shared.messages.types import Rejected, Valid
from shared.problem.load import load_problem
from shared.problem.spec import Problem
from shared.stage import Record


class Drafted(NamedTuple):
    problem: Problem
    text: str
    valid: list[Valid]
    rejected: list[Rejected]
    features: list[dict[str, float | None]]
    labels: int


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def drafted(sample: Path, *options: str) -> Drafted:
    """`headrace init`, then every row through the collector, the validator and the features."""
    app(
        ["init", str(sample), "--out", str(sample.parent / "out"), "--force", *options],
        standalone_mode=False,
    )
    (path,) = (sample.parent / "out").glob("*.yaml")
    problem = load_problem(path)
    assert problem.source is not None and problem.source.path is not None
    stage, features = Validator(problem), FeatureSet(problem)
    valid: list[Valid] = []
    rejected: list[Rejected] = []
    labels = 0
    source = rows_of(path.parent / problem.source.path, problem)
    for offset, arrival in enumerate(arrivals(source, problem)):
        labels += arrival.stream is LABELS
        if arrival.stream is not EVENTS:
            continue
        at_ms = int(arrival.time.timestamp() * 1000)
        for out in stage.handle(
            [Record(EVENTS, arrival.value, arrival.key, 0, offset, offset, at_ms)]
        ):
            (rejected if out.stream is REJECTED else valid).append(out.value)
    return Drafted(
        problem, path.read_text(), valid, rejected, [features.transform(v) for v in valid], labels
    )
