"""The dashboards and alert rules speak of metrics and labels that exist, in PromQL that parses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from examples.observability.make_dashboards import HERE, made
from mainspring.model.metrics import METRICS

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((HERE / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
#: Labels Prometheus itself gives.
GIVEN = {"instance", "pod", "job"}


def expressions() -> list[tuple[str, str]]:
    found = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in RULES]
    for name, text in made().items():
        for panel in json.loads(text)["panels"]:
            found += [(f"{name}: {panel['title']}", target["expr"]) for target in panel["targets"]]
    return found


def selectors(node: Any) -> Iterator[Any]:
    """Yield the vector selectors of an expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("lhs", "rhs", "expr", "vector_selector"):
        inner = getattr(node, name, None)
        if inner is not None and not isinstance(inner, str | float):
            yield from selectors(inner)
    for inner in getattr(node, "args", None) or ():
        yield from selectors(inner)


def labels_of(name: str) -> set[str]:
    """Return the labels of a metric, or of a recorded one; raises `KeyError` for one there is not."""
    if name in RECORDED:
        inner = next(rule["expr"] for rule in RULES if rule.get("record") == name)
        return set().union(*(labels_of(found.name) for found in selectors(promql_parser.parse(inner))))
    base = re.sub(r"_(bucket|count|sum)$", "", name)
    metric = METRICS[name if name in METRICS else base]
    assert name in METRICS or metric.kind == "histogram", name
    return set(metric.labels) | ({"le"} if name.endswith("_bucket") else set())


@pytest.mark.parametrize(("where", "text"), expressions(), ids=lambda value: value[:60])
def test_every_expression_parses_and_names_what_exists(where: str, text: str) -> None:
    tree = promql_parser.parse(text.replace("$__rate_interval", "5m"))
    found = list(selectors(tree))
    assert found, "an expression about nothing"
    known = set().union(*(labels_of(selector.name) for selector in found)) | GIVEN
    for selector in found:
        named = {matcher.name for matcher in selector.matchers.matchers}
        assert named <= labels_of(selector.name) | GIVEN, (where, selector.name)
    grouped = {
        label.strip()
        for group in re.findall(r"\b(?:by|without|on)\s*\(([^)]*)\)", text)
        for label in group.split(",")
        if label.strip()
    }
    assert grouped <= known, where


def test_counters_are_never_looked_at_without_a_rate() -> None:
    for where, text in expressions():
        for name in re.findall(r"mainspring_\w+_total", text):
            assert re.search(rf"(?:rate|increase)\([^()]*{name}", text), where


def test_figures_of_the_fleet_are_not_added_up_over_who_tells_them() -> None:
    for where, text in expressions():
        for name, metric in METRICS.items():
            if metric.source == "fleet" and name in text:
                assert re.search(r"\bmax\b|\babsent\b", text), (where, name)


def test_the_committed_dashboards_are_current() -> None:
    for name, text in made().items():
        committed = (HERE / name).read_text("utf-8")
        assert committed == text, f"{name}: python examples/observability/make_dashboards.py"


def test_every_alert_leads_to_what_to_do() -> None:
    page = (ROOT / "docs/operate/observability.md").read_text("utf-8")
    told = {title.lower() for title in re.findall(r"^#+ (\w+)$", page, re.MULTILINE)}
    for rule in RULES:
        if "alert" in rule:
            where, _, anchor = rule["annotations"]["runbook"].partition("#")
            assert where == "docs/operate/observability.md"
            assert anchor == rule["alert"].lower()
            assert anchor in told, f"{rule['alert']} has no section"


def test_every_metric_that_counts_trouble_is_watched() -> None:
    watched = " ".join(text for _, text in expressions())
    shown = {name for name in METRICS if name in watched}
    # The version, and what a person asks for when something is wrong already.
    rest = {"mainspring_build_info", "mainspring_child_processes_started_total", "mainspring_api_streams"}
    rest |= {"mainspring_executions_claimed_total", "mainspring_attempts_settled_total"}
    assert METRICS.keys() - shown == rest
