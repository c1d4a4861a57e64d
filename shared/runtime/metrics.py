"""What a process measures of itself, for Prometheus.

Names follow the Prometheus conventions: base units, `_total` for counters, labels of bounded variety
(no event ids, no keys). Every metric has the labels `service` (fused ones joined by "+") and `problem`.
What the console knows about the run as a whole is in `services/console/measures.py`, on the same page.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.registry import Collector

from shared.messages.streams import Stream
from shared.runtime.clock import now

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LABELS = ("service", "problem")
PAGE_TYPE = CONTENT_TYPE_LATEST
"""The media type of `Meters.page`."""


class Meters:
    """The meters of one process, in a registry of their own. Thread-safe (the client's meters are)."""

    def __init__(self, service: str, problem: str, clock: Callable[[], datetime] = now) -> None:
        self.registry = CollectorRegistry()
        self._names = {"service": service, "problem": problem}
        self._clock = clock
        self._model: str | None = None
        self._model_made: datetime | None = None
        self._lag_places: dict[int, set[str]] = {}
        self._flow()
        self._state()
        self._served()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _flow(self) -> None:
        self._folded = self._counter("headrace_records_folded", "Records folded", "stream")
        self._written = self._counter("headrace_records_written", "Records written", "stream")
        self._restarts = self._counter(
            "headrace_restarts", "Stages thrown away and rebuilt, by kind of error", "kind"
        )
        self._turns = self._seconds("headrace_turn_seconds", "One turn of the loop that did work")
        self._commits = self._seconds("headrace_commit_seconds", "One transaction on the log")
        self._committed = self._gauge(
            "headrace_last_commit_timestamp_seconds", "When the log last committed for us"
        )
        self._lag = self._gauge(
            "headrace_lag_records", "Records on the log, not yet folded", "stream", "partition"
        )

    def _state(self) -> None:
        self._state_size = self._gauge("headrace_state_bytes", "State on the log", "partition")
        self._saved_size = self._gauge(
            "headrace_checkpoint_bytes", "State that the last checkpoint wrote", "partition"
        )
        self._partitions = self._gauge(
            "headrace_assigned_partitions", "What this process works on; 0: it stands by"
        )

    def _served(self) -> None:
        self._version = self._gauge("headrace_served_model_info", "What scores here", "version")
        self._outcomes = self._gauge(
            "headrace_served_model_age_outcomes", "Outcomes that the served model has not learned"
        )
        self._age = self._gauge(
            "headrace_served_model_age_seconds", "Seconds since the served model was published"
        )

    def folded(self, stream: Stream, count: int) -> None:
        """`count` records of an input are folded and committed."""
        self._folded.labels(**self._names, stream=stream).inc(count)

    def written(self, stream: Stream, count: int) -> None:
        """`count` records of an output are committed."""
        self._written.labels(**self._names, stream=stream).inc(count)

    def turned(self, seconds: float) -> None:
        """A turn that folded something took so long; idle ones are not told."""
        self._turns.labels(**self._names).observe(seconds)

    def committed(self, seconds: float) -> None:
        """A transaction took so long, and is over."""
        self._commits.labels(**self._names).observe(seconds)
        self._committed.labels(**self._names).set(self._clock().timestamp())

    def restarted(self, why: BaseException) -> None:
        """The stages were thrown away because of `why`; its class is the kind."""
        self._restarts.labels(**self._names, kind=type(why).__name__).inc()

    def lag(self, share: int, records: Mapping[str, int]) -> None:
        """How far behind the worker of a share is, by place; what is not named is not its own."""
        for name in self._lag_places.get(share, set()) - set(records):
            self._lag.remove(*self._at(name))
        for name, count in records.items():
            self._lag.labels(*self._at(name)).set(count)
        self._lag_places[share] = set(records)

    def assigned(self, partitions: int) -> None:
        """How many partitions this process works on."""
        self._partitions.labels(**self._names).set(partitions)

    def saved(self, partition: int, checkpoint_bytes: int, state_bytes: int) -> None:
        """A checkpoint wrote `checkpoint_bytes`; the whole state has `state_bytes` now."""
        where = {**self._names, "partition": str(partition)}
        self._saved_size.labels(**where).set(checkpoint_bytes)
        self._state_size.labels(**where).set(state_bytes)

    def released(self, partition: int) -> None:
        """A partition is another process's now."""
        self.lag(partition, {})
        for gauge in (self._saved_size, self._state_size):
            gauge.remove(*self._names.values(), str(partition))

    def model(self, version: str, age_outcomes: int, published: datetime) -> None:
        """What scores here, and how fresh it is; the age in seconds goes on by itself."""
        if self._model is None:
            self._age.labels(**self._names).set_function(self._model_age_s)
        if self._model != version:
            if self._model is not None:
                self._version.remove(*self._names.values(), self._model)
            self._version.labels(**self._names, version=version).set(1)
        self._model, self._model_made = version, published
        self._outcomes.labels(**self._names).set(age_outcomes)

    def include(self, collector: Collector) -> None:
        """More for the same page."""
        self.registry.register(collector)

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)

    def _at(self, name: str) -> tuple[str, str, str, str]:
        stream, _, partition = name.partition("/")
        return (self._names["service"], self._names["problem"], stream, partition or "0")

    def _model_age_s(self) -> float:
        made = self._model_made
        return 0.0 if made is None else (self._clock() - made).total_seconds()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, (*_LABELS, *labels), registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, (*_LABELS, *labels), registry=self.registry)

    def _seconds(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, _LABELS, registry=self.registry, buckets=_SECONDS)
