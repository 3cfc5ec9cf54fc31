"""The throughput of a run as a picture: one bar per peer on a logarithmic scale, ours in another colour. SVG."""

from __future__ import annotations

import math
from html import escape

from benchmarks.catalogue import BY_NAME, Peer
from benchmarks.figures import Figures, number

ROW, BAR, LEFT, WIDTH, TOP = 24, 15, 190, 560, 46
#: Room right of the scale for a label.
RIGHT = 90

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .small { font-size: 11px; fill: #59636e } .grid { stroke: #d1d9e0 }
  .peer { fill: #8c959f } .ours { fill: #0969da } .limit { fill: #c9d1d9 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #3d444d }
    .peer { fill: #656c76 } .ours { fill: #4493f8 } .limit { fill: #3d444d }
  }
"""


def throughput(figures: Figures) -> str:
    """Return a picture of W1 with one worker process, fastest first."""
    found = [
        (rate, name) for name in figures.rounds.get("w1", {}) if (rate := figures.median("w1", name, "drain_per_s"))
    ]
    rows = sorted(found, reverse=True)
    low = 10 ** math.floor(math.log10(min((rate for rate, _ in rows), default=10)))
    high = 10 ** math.ceil(math.log10(max((rate for rate, _ in rows), default=100)))
    height = TOP + ROW * len(rows) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}" role="img">',
        f"<title>Jobs a second with one worker process</title><style>{STYLE}</style>",
        '<text class="title" x="10" y="20">Jobs a second, one worker process, every record final</text>',
        f'<text class="small" x="10" y="36">{_under_which_conditions(figures)}; the scale is logarithmic</text>',
        *_grid(low, high, height),
        *(_row(index, rate, BY_NAME.get(name), name, low, high) for index, (rate, name) in enumerate(rows)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _under_which_conditions(figures: Figures) -> str:
    if any(what.startswith("w1 ") for what in figures.disturbed):
        return "measured while other programs used the machine, to be measured again"
    return "median of the rounds"


def _x(value: float, low: float, high: float) -> float:
    return LEFT + WIDTH * math.log10(value / low) / math.log10(high / low)


def _grid(low: float, high: float, height: int) -> list[str]:
    lines = []
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        x = _x(10**power, low, high)
        lines.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - 26}"/>')
        lines.append(f'<text class="small" x="{x:.1f}" y="{height - 10}" text-anchor="middle">{10**power:,}</text>')
    return lines


def _row(index: int, rate: float, peer: Peer | None, name: str, low: float, high: float) -> str:
    y = TOP + ROW * index + 4
    end = _x(rate, low, high)
    kind = "peer" if peer is None or not (peer.is_ours or not peer.serves) else "ours" if peer.is_ours else "limit"
    return (
        f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
        f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{max(2.0, end - LEFT):.1f}" height="{BAR}" rx="2"/>'
        f'<text class="small" x="{end + 6:.1f}" y="{y + 12}">{number(rate)}</text>'
    )
