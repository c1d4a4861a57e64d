"""Dashboards, alert rules and scaling ask only for what the code exports."""

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from services import discover
from services.console.core import Board
from services.console.measures import Measures
from services.console.snapshot import view_of
from shared.errors import Retryable
from shared.messages.streams import EVENTS
from shared.runtime.metrics import Meters
from tests.architecture.manifests import dashboard
from tests.kit.recorded import believing
from tests.unit.console.synthetic import Story, problem

ROOT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
SCRAPED = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
QUERIES = [*dashboard.queries(), *(rule["expr"] for rule in RULES)]
BY_PROMETHEUS = {"up"}
BY_PROMETHEUS_LABELS = {"job", "instance", "le"}


@cache
def exported() -> dict[str, set[str]]:
    """Sample names to their labels, from the page that a console serves."""
    meters = Meters("console", "p")
    board = Board(problem(), believing)
    board.handle(list(Story(1_500).records()))
    meters.include(Measures(problem(), lambda: view_of(board)))
    meters.folded(EVENTS, 1)
    meters.written(EVENTS, 1)
    meters.turned(0.1)
    meters.committed(0.1)
    meters.restarted(Retryable("x"))
    meters.lag(0, {"events": 1})
    meters.assigned(1)
    meters.saved(0, 1, 1)
    meters.model("v1", 1, datetime(2000, 1, 1, tzinfo=UTC))
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(meters.page().decode()):
        found.setdefault(family.name, set())
        if family.type == "counter":
            found.setdefault(f"{family.name}_total", set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def selectors(query: str) -> list[tuple[str, set[str]]]:
    """Metrics that a query selects, and the labels by which it does.

    Raises:
        ValueError: it is no PromQL.
    """
    parts = [promql_parser.parse(query.replace("$__rate_interval", "1m"))]
    found = []
    while parts:
        part = parts.pop()
        if isinstance(part, promql_parser.VectorSelector):
            found.append((part.name, {matcher.name for matcher in part.matchers.matchers}))
        for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
            if (inner := getattr(part, name, None)) is not None:
                parts.append(inner)
        parts += getattr(part, "args", None) or []
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_asks_for_metrics_and_labels_that_are_exported(query: str) -> None:
    chosen = [(n, labels) for n, labels in selectors(query) if n not in BY_PROMETHEUS]
    for name, labels in chosen:
        assert name in exported()
        assert labels - BY_PROMETHEUS_LABELS <= exported()[name]
    grouped = re.findall(r"\b(?:by|on|without) ?\(([^)]*)\)", query)
    used = {label.strip() for group in grouped for label in group.split(",")}
    known = set().union(*(exported()[name] for name, _ in chosen))
    assert used - BY_PROMETHEUS_LABELS <= known
    assert chosen or "up{" in query


def test_what_is_wrong_is_seen() -> None:
    query = 'sum by (a) (rate(headrace_lag_record{a="b"}[5m])) > on (b) (time() - up)'
    assert sorted(selectors(query)) == [("headrace_lag_record", {"a"}), ("up", set())]
    assert "headrace_lag_record" not in exported()
    with pytest.raises(ValueError):
        selectors("sum by (service (up)")


def test_every_rule_says_what_to_do() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "warn")
        assert rule["annotations"]["summary"] and rule["annotations"]["action"]
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_every_service_is_scraped() -> None:
    found = SCRAPED["scrape_configs"][0]["dns_sd_configs"][0]
    assert set(found["names"]) == {service.name for service in discover()}
