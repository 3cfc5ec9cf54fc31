"""The tables of the operators' page, made from what is registered: python -m tests.metrics_page writes them again."""

from __future__ import annotations

from pathlib import Path

from mainspring.model.log_events import LOG_EVENTS
from mainspring.model.metrics import METRICS

PAGE = Path(__file__).parents[1] / "docs" / "operate" / "observability.md"
BEGIN, END = "<!-- metrics: made from mainspring.model.metrics -->", "<!-- end of metrics -->"


def table() -> str:
    """Return the table."""
    lines = []
    for source, title in (("fleet", "Of the fleet"), ("process", "Of a process")):
        lines += [f"**{title}**", "", "| metric | type | labels | what it says |", "|---|---|---|---|"]
        for metric in METRICS.values():
            if metric.source == source:
                labels = " ".join(f"`{label}`" for label in metric.labels)
                lines.append(f"| `{metric.full_name}` | {metric.kind} | {labels} | {metric.help} |")
        lines.append("")
    return "\n".join(lines)


def events() -> str:
    """Return the table of what is logged."""
    lines = ["| event | when |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {text} |" for name, text in LOG_EVENTS.items()), ""])


def renewed(page: str) -> str:
    """Return the page with the tables as they are to be."""
    page = _between(page, BEGIN, table(), END)
    return _between(page, "<!-- events: made from mainspring.model.log_events -->", events(), "<!-- end of events -->")


def _between(page: str, begin: str, made: str, end: str) -> str:
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{made}\n{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
