"""The streams of a problem; on Kafka the topic is `{problem}.{stream}` (DESIGN section 3.1)."""

from enum import StrEnum


class Stream(StrEnum):
    """A named, ordered channel of one problem."""

    EVENTS = "events"
    LABELS = "labels"
    REFERENCES = "references"
    VALID = "valid"
    REJECTED = "rejected"
    FEATURES = "features"
    PREDICTIONS = "predictions"
    OUTCOMES = "outcomes"
    ALERTS = "alerts"
    JOBS = "jobs"
    MODELS = "models"
    CONTROL = "control"
    AUDITS = "audits"
    LABEL_REQUESTS = "label_requests"
    CHECKPOINTS = "checkpoints"


EVENTS, LABELS, VALID, REJECTED = Stream.EVENTS, Stream.LABELS, Stream.VALID, Stream.REJECTED
FEATURES, PREDICTIONS, OUTCOMES = Stream.FEATURES, Stream.PREDICTIONS, Stream.OUTCOMES
ALERTS, JOBS, MODELS, CONTROL = Stream.ALERTS, Stream.JOBS, Stream.MODELS, Stream.CONTROL
AUDITS, LABEL_REQUESTS = Stream.AUDITS, Stream.LABEL_REQUESTS
REFERENCES = Stream.REFERENCES
CHECKPOINTS = Stream.CHECKPOINTS

RAW = frozenset({EVENTS, LABELS, REFERENCES})
"""Streams that the outside writes: their bytes are kept as they came."""


def place(stream: Stream, partition: int = 0) -> str:
    """The name of one partition of a stream."""
    return f"{stream}/{partition}" if partition else str(stream)


def stream_at(name: str) -> Stream:
    """The stream of the place `name`."""
    return Stream(name.partition("/")[0])
