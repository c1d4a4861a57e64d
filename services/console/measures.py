"""The view as Prometheus metrics (names: base units, `_total`; labels of bounded variety)."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.console.audits import KINDS
from services.console.snapshot import View
from shared.problem.spec import Problem


class Measures(Collector):
    """Reads the newest view at each scrape; nothing is counted twice."""

    def __init__(self, problem: Problem, view: Callable[[], View | None]) -> None:
        self._problem = problem.name
        self._features = problem.feature_names
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """The metrics of the newest view; none before the first one."""
        view = self._view()
        if view is None:
            return
        yield from self._counts(view)
        yield from self._quality(view)
        yield from self._life(view)
        yield from self._audit(view)
        yield from self._lookups(view)

    def _counts(self, view: View) -> Iterator[Metric]:
        found = view.summary
        events = CounterMetricFamily(
            "headrace_events", "Events by what became of them", labels=["problem", "outcome"]
        )
        for outcome in ("predictions", "outcomes"):
            events.add_metric([self._problem, outcome], found[outcome])
        yield events
        rejected = CounterMetricFamily(
            "headrace_rejected", "Rejected records by check", labels=["problem", "reason"]
        )
        by_check: dict[str, int] = {}
        for group in view.groups:
            by_check[group.check] = by_check.get(group.check, 0) + group.count
        for check, count in by_check.items():
            rejected.add_metric([self._problem, check], count)
        yield rejected

    def _quality(self, view: View) -> Iterator[Metric]:
        values = GaugeMetricFamily(
            "headrace_metric_value",
            "Prequential figures; model `published` is what was served",
            labels=["problem", "model", "metric", "window"],
        )
        shown = "mae" if view.regression else "accuracy"
        for row in view.scores:
            for metric, value in row.figures.items():
                values.add_metric([self._problem, row.name, metric, "all"], value)
            if row.newest is not None:
                values.add_metric([self._problem, row.name, shown, str(view.window)], row.newest)
        yield values
        coverage = GaugeMetricFamily(
            "headrace_label_coverage_ratio", "Share of predictions labelled", labels=["problem"]
        )
        found = view.summary
        coverage.add_metric(
            [self._problem],
            found["outcomes"] / found["predictions"] if found["predictions"] else 0,
        )
        yield coverage

    def _lookups(self, view: View) -> Iterator[Metric]:
        tried = CounterMetricFamily(
            "headrace_lookups",
            "Lookups in references by what they found: found, missing, too_old",
            labels=["problem", "lookup", "result"],
        )
        for name, counts in view.summary["lookups"].items():
            for result, count in counts["all"].items():
                tried.add_metric([self._problem, name, result], count)
        yield tried

    def _life(self, view: View) -> Iterator[Metric]:
        jobs = GaugeMetricFamily(
            "headrace_retraining_jobs", "Jobs by state", labels=["problem", "state"]
        )
        states = [job["state"] for job in view.summary["jobs"]]
        for state in sorted(set(states)):
            jobs.add_metric([self._problem, state], states.count(state))
        yield jobs
        alerts = GaugeMetricFamily(
            "headrace_alerts",
            "Alerts by cause, severity and state",
            labels=["problem", "cause", "severity", "state"],
        )
        kinds = [(a["cause"], a["severity"], a["state"]) for a in view.summary["alerts"]]
        for kind in sorted(set(kinds)):
            alerts.add_metric([self._problem, *kind], kinds.count(kind))
        yield alerts
        swaps = CounterMetricFamily("headrace_swap", "Changes of champion", labels=["problem"])
        swaps.add_metric([self._problem], len(view.summary["swaps"]))
        yield swaps
        model = GaugeMetricFamily(
            "headrace_model_info", "The champion", labels=["problem", "version", "kind"]
        )
        for card in view.models:
            if card.role in ("champion", "shadow"):
                model.add_metric([self._problem, card.name, card.role], 1)
        yield model

    def _audit(self, view: View) -> Iterator[Metric]:
        found = view.summary["audit"]
        compared = CounterMetricFamily(
            "headrace_audit_compared",
            "Predictions whose features were recomputed from raw events",
            labels=["problem"],
        )
        compared.add_metric([self._problem], found["compared"])
        yield compared
        unmatched = CounterMetricFamily(
            "headrace_audit_unmatched", "Predictions without a raw event", labels=["problem"]
        )
        unmatched.add_metric([self._problem], found["unmatched"])
        yield unmatched
        differing = CounterMetricFamily(
            "headrace_audit_differences",
            "Served features that were not what raw events give; over compared: the rate",
            labels=["problem", "feature", "kind"],
        )
        for feature in dict.fromkeys((*self._features, *found["features"])):
            row = found["features"].get(feature, {})
            for kind in KINDS:
                differing.add_metric([self._problem, feature, kind], row.get(kind, 0))
        yield differing
