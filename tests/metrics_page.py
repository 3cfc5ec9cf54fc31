"""The table of metrics in the operators' page, made from the registry: python -m tests.metrics_page writes it again."""

from __future__ import annotations

from pathlib import Path

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


def renewed(page: str) -> str:
    """Return the page with the table as it is to be."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
