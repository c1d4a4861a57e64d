"""The Grafana dashboard: rows of panels, each with its queries, from one table."""

import json
from typing import Any

_S = '{problem="$problem", service=~"$service"}'
_P = '{problem="$problem"}'
_BY = "sum by (service{more}) (rate({name}{s}[$__rate_interval]))"


def _rate(name: str, more: str = "") -> str:
    return _BY.format(name=name, s=_S, more=f", {more}" if more else "")


def _p(quantile: float, name: str) -> str:
    buckets = f"sum by (service, le) (rate({name}_bucket{_S}[$__rate_interval]))"
    return f"histogram_quantile({quantile}, {buckets})"


Query = tuple[str, str]
ROWS: dict[str, list[tuple[str, str, list[Query]]]] = {
    "Is it right?": [
        (
            "Figures of what was published, and of the baselines",
            "none",
            [(f"headrace_metric_value{_P}", "{{model}} {{metric}} {{window}}")],
        ),
        ("Share of predictions with a label", "percentunit", [
            (f"headrace_label_coverage_ratio{_P}", "labelled")]),
        ("Open alerts", "none", [
            ('sum by (cause, severity) (headrace_alerts{problem="$problem", state!="resolved"})',
             "{{cause}} {{severity}}")]),
        ("Live versions and swaps", "none", [
            (f"sum by (kind) (headrace_model_info{_P})", "{{kind}}"),
            (f"headrace_swap_total{_P}", "swaps so far")]),
        ("Served features that differ from raw events, of those compared", "percentunit", [
            ("sum by (problem, feature, kind) (increase(headrace_audit_differences_total"
             f"{_P}[1d])) / on (problem) group_left sum by (problem) "
             f"(increase(headrace_audit_compared_total{_P}[1d]))",
             "{{feature}} {{kind}}")]),
        ("Jobs", "none", [
            (f"sum by (state) (headrace_retraining_jobs{_P})", "{{state}}")]),
        ("Rejected records a second", "ops", [
            ('sum by (reason) (rate(headrace_rejected_total{problem="$problem"}[$__rate_interval]))',
             "{{reason}}")]),
    ],
    "Does it keep up?": [
        ("Records folded a second", "ops", [
            (_rate("headrace_records_folded_total", "stream"), "{{service}} {{stream}}")]),
        ("Records written a second", "ops", [
            (_rate("headrace_records_written_total", "stream"), "{{service}} {{stream}}")]),
        ("Lag", "none", [
            (f"sum by (service, stream) (headrace_lag_records{_S})", "{{service}} {{stream}}")]),
        ("Turn", "s", [
            (_p(0.5, "headrace_turn_seconds"), "{{service}} p50"),
            (_p(0.99, "headrace_turn_seconds"), "{{service}} p99")]),
        ("Commit", "s", [
            (_p(0.5, "headrace_commit_seconds"), "{{service}} p50"),
            (_p(0.99, "headrace_commit_seconds"), "{{service}} p99")]),
        ("Since the last commit", "s", [
            (f"time() - max by (service) (headrace_last_commit_timestamp_seconds{_S})",
             "{{service}}")]),
    ],
    "How fresh, how large?": [
        ("Age of the served model", "s", [
            (f"max by (service) (headrace_served_model_age_seconds{_S})", "{{service}}")]),
        ("Outcomes that the served model has not learned", "none", [
            (f"max by (service) (headrace_served_model_age_outcomes{_S})", "{{service}}")]),
        ("State on the log", "bytes", [
            (f"sum by (service) (headrace_state_bytes{_S})", "{{service}}"),
            (f"sum by (service) (headrace_checkpoint_bytes{_S})", "{{service}} last checkpoint")]),
        ("Partitions at work", "none", [
            (f"sum by (service) (headrace_assigned_partitions{_S})", "{{service}}")]),
        ("Restarts of stages in ten minutes", "none", [
            (f"sum by (service, kind) (increase(headrace_restarts_total{_S}[10m]))",
             "{{service}} {{kind}}")]),
        ("Memory and processor", "bytes", [
            ('process_resident_memory_bytes{job="headrace"}', "{{instance}}"),
            ('rate(process_cpu_seconds_total{job="headrace"}[$__rate_interval])',
             "{{instance}} cores")]),
    ],
}  # fmt: skip


def dashboard() -> str:
    """Grafana's JSON model."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append({"type": "row", "title": title, "gridPos": _place(0, top, 24, 1)})
        top += 1
        for number, (name, unit, queries) in enumerate(row):
            place = _place(number % 3 * 8, top + number // 3 * 8, 8, 8)
            panels.append(_panel(name, unit, queries, place))
        top += -(-len(row) // 3) * 8
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    model = {
        "uid": "headrace",
        "title": "Headrace",
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_choice("problem", False), _choice("service", True)]},
        "panels": panels,
    }
    return json.dumps(model, indent=1) + "\n"


def queries() -> list[str]:
    """Every query of the dashboard."""
    return [query for row in ROWS.values() for _, _, found in row for query, _ in found]


def _panel(title: str, unit: str, queries: list[Query], place: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": title,
        "gridPos": place,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": {"tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(queries)
        ],
    }


def _choice(name: str, several: bool) -> dict[str, Any]:
    query = f"label_values(headrace_records_folded_total, {name})"
    return {
        "name": name,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": several,
        "includeAll": several,
        "allValue": ".*" if several else None,
    }


def _place(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}
