"""The Grafana dashboards, written by program: python examples/observability/make_dashboards.py

Import the JSON files in Grafana, or provision them. Fleet figures are the same from every server and dispatcher, hence
`max without (instance, pod)`; figures of a process are added up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Panel = dict[str, Any]


API = "rate(mainspring_api_request_duration_seconds_bucket[$__rate_interval])"


def fleet(expression: str) -> str:
    """One value for the whole fleet, whoever tells it."""
    return f"max without (instance, pod) ({expression})"


def rate(metric: str) -> str:
    return fleet(f"rate({metric}[$__rate_interval])")


def quantile(q: float, metric: str, by: str) -> str:
    return f"histogram_quantile({q}, sum by (le, {by}) ({rate(metric + '_bucket')}))"


def panel(title: str, *targets: tuple[str, str], kind: str = "timeseries", unit: str = "short", **more: Any) -> Panel:
    return {
        "title": title,
        "type": kind,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "fieldConfig": {"defaults": {"unit": unit, **more}, "overrides": []},
        "targets": [
            {"expr": expression, "legendFormat": legend, "refId": chr(65 + n)}
            for n, (expression, legend) in enumerate(targets)
        ],
    }


def stat(title: str, expression: str, unit: str = "short", **more: Any) -> Panel:
    return panel(title, (expression, ""), kind="stat", unit=unit, **more)


FLEET = [
    stat("Undecided since", "time() - max(mainspring_decided_up_to_timestamp_seconds)", "s"),
    stat("Dispatchers", 'max(mainspring_dispatchers{status="running"})'),
    stat("Workers", 'max(mainspring_workers{status="running"})'),
    stat("Held", "max(mainspring_fleet_held)"),
    panel(
        "Ended, by outcome",
        (f"sum by (outcome) ({rate('mainspring_executions_finished_total')})", "{{outcome}}"),
        unit="ops",
    ),
    panel(
        "Start delay",
        *((quantile(q, "mainspring_start_delay_seconds", "queue"), f"p{q * 100:g} {{{{queue}}}}") for q in (0.5, 0.99)),
        unit="s",
    ),
    panel("Not ended, by status", ("max by (status) (mainspring_executions)", "{{status}}")),
    panel(
        "Decisions, by decision",
        ("sum by (decision) (rate(mainspring_decisions_total[$__rate_interval]))", "{{decision}}"),
    ),
    panel(
        "Skipped instants",
        (f"sum by (decision) ({rate('mainspring_occurrences_skipped_total')})", "{{decision}}"),
        unit="ops",
    ),
    panel(
        "Lags",
        ("max(mainspring_decision_lag_seconds)", "decisions"),
        ("max(mainspring_queue_oldest_age_seconds)", "queues"),
        ("max(mainspring_outbox_lag_seconds)", "events"),
        unit="s",
    ),
    panel(
        "Database",
        ("sum by (state) (mainspring_db_connections)", "{{state}}"),
        ("max(mainspring_db_calls_waiting)", "waiting"),
    ),
    panel(
        "Taken back and refused",
        ("sum by (reason) (rate(mainspring_reaped_total[$__rate_interval]))", "{{reason}}"),
        ("sum(rate(mainspring_fences_refused_total[$__rate_interval]))", "fence refused"),
        unit="ops",
    ),
    panel(
        "Redis transport",
        ("sum by (what) (rate(mainspring_transport_total[$__rate_interval]))", "{{what}}"),
        unit="ops",
    ),
    panel(
        "Redis streams",
        ("max by (state) (mainspring_transport_entries)", "{{state}}"),
        ("max(mainspring_transport_up)", "up"),
    ),
    panel(
        "API requests",
        ("sum by (status) (rate(mainspring_api_requests_total[$__rate_interval]))", "{{status}}"),
        unit="reqps",
    ),
    panel(
        "API latency, p95",
        (f"histogram_quantile(0.95, sum by (le, method) ({API}))", "{{method}}"),
        unit="s",
    ),
]
QUEUES = [
    panel("Depth", ('max by (queue) (mainspring_queue_depth{queue=~"$queue"})', "{{queue}}")),
    panel(
        "Oldest unclaimed",
        ('max by (queue) (mainspring_queue_oldest_age_seconds{queue=~"$queue"})', "{{queue}}"),
        unit="s",
    ),
    panel("Slots", ('max by (queue) (mainspring_queue_slots{queue=~"$queue"})', "{{queue}}")),
    panel(
        "Completed",
        (
            "sum by (queue) ("
            + fleet('rate(mainspring_executions_finished_total{queue=~"$queue"}[$__rate_interval])')
            + ")",
            "{{queue}}",
        ),
        unit="ops",
    ),
    panel("Start delay, p95", (quantile(0.95, "mainspring_start_delay_seconds", "queue"), "{{queue}}"), unit="s"),
    panel("Slots of workers", ("sum by (state) (mainspring_worker_slots)", "{{state}}")),
]
HANDLERS = [
    panel("Ended", (f"sum by (handler) ({rate('mainspring_executions_finished_total')})", "{{handler}}"), unit="ops"),
    panel(
        "Failed, share",
        (
            "sum by (handler) ("
            + fleet('rate(mainspring_executions_finished_total{outcome="failed"}[$__rate_interval])')
            + f") / sum by (handler) ({rate('mainspring_executions_finished_total')})",
            "{{handler}}",
        ),
        unit="percentunit",
    ),
    panel(
        "Duration",
        *(
            (quantile(q, "mainspring_execution_duration_seconds", "handler"), f"p{q * 100:g} {{{{handler}}}}")
            for q in (0.5, 0.95)
        ),
        unit="s",
    ),
    panel("Retries", (f"sum by (handler) ({rate('mainspring_attempts_retried_total')})", "{{handler}}"), unit="ops"),
    panel("Dead letters", (f"sum by (handler) ({rate('mainspring_dead_lettered_total')})", "{{handler}}"), unit="ops"),
    panel("Child processes", ("sum by (state) (mainspring_child_processes)", "{{state}}")),
]


def dashboard(name: str, title: str, panels: list[Panel], **variables: str) -> dict[str, Any]:
    placed: list[Panel] = []
    x = y = 0
    for number, one in enumerate(panels, 1):
        width, height = (6, 4) if one["type"] == "stat" else (12, 8)
        if x + width > 24:
            x, y = 0, y + placed[-1]["gridPos"]["h"]
        placed.append({"id": number, **one, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
        x += width
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
    chosen = [
        {
            "name": variable,
            "type": "query",
            "query": {"query": query, "refId": variable},
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "includeAll": True,
            "multi": True,
            "refresh": 2,
        }
        for variable, query in variables.items()
    ]
    return {
        "uid": f"mainspring-{name}",
        "title": title,
        "tags": ["mainspring"],
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "schemaVersion": 39,
        "links": [{"title": "Mainspring", "type": "dashboards", "tags": ["mainspring"], "asDropdown": False}],
        "templating": {"list": [source, *chosen]},
        "panels": placed,
    }


def made() -> dict[str, str]:
    """Return each file's name and text."""
    found = {
        "fleet": dashboard("fleet", "Mainspring: fleet", FLEET),
        "queues": dashboard(
            "queues", "Mainspring: queues", QUEUES, queue="label_values(mainspring_queue_slots, queue)"
        ),
        "handlers": dashboard("handlers", "Mainspring: handlers", HANDLERS),
    }
    return {f"grafana-{name}.json": json.dumps(one, indent=1) + "\n" for name, one in found.items()}


if __name__ == "__main__":
    for name, text in made().items():
        (HERE / name).write_text(text, "utf-8")
