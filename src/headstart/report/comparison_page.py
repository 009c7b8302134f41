"""A comparison as one self-contained HTML page on which every number can be pointed at.

The figures' own drawing functions draw on panels that keep what is drawn, so that both show the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from headstart.core.files import write_atomically
from headstart.report.comparison import (
    Comparison,
    draw_aggregates,
    draw_curves,
    draw_improvement,
    draw_profiles,
    table,
)
from headstart.report.document import document
from headstart.report.figures import COLORS
from headstart.report.sections import swatch

FIGURES: dict[str, tuple[Callable[[Comparison, Any], None], str, str]] = {
    "curves": (
        draw_curves,
        "Learning curves",
        "Interquartile mean over seeds in each world, with its 95 % bootstrap interval.",
    ),
    "aggregates": (
        draw_aggregates,
        "Aggregates",
        "Of the final scores of all seeds in all worlds, each with its 95 % stratified bootstrap interval.",
    ),
    "profile": (draw_profiles, "Performance profile", "How many runs end above each score; higher is better."),
    "improvement": (
        draw_improvement,
        "Who beats whom",
        "The probability that a run of the first ends above one of the second in the same world; at 0.5 they tie.",
    ),
}


class Panel:
    """Stands in for Matplotlib's axes, as far as this room's drawing functions use them, and keeps what is drawn."""

    def __init__(self):
        self.lines: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = {}

    def plot(self, x: ArrayLike, y: ArrayLike, style: str = "-", *, color: str, label: str = "", linewidth: float = 0):
        """A line; or a dot, whose interval is the line before it."""
        line = {"x": _plain(x), "y": _plain(y), "arm": label, "color": COLORS.index(color), "low": None, "high": None}
        if style == "o":
            low, high = self.lines.pop()["x"]
            if low is not None:  # a single run has no interval
                line |= {"low": [low], "high": [high]}
        self.lines.append(line)

    def fill_between(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, **style: Any) -> None:
        """The interval around the line before it."""
        self.lines[-1] |= {"low": _plain(low), "high": _plain(high)}

    def axvline(self, x: float, **style: Any) -> None:
        """A level to compare with."""
        self.facts["level"] = x

    def set(self, **facts: Any) -> None:
        """Title, labels and limits."""
        self.facts |= {name: list(value) if isinstance(value, range) else value for name, value in facts.items()}

    def set_ylabel(self, label: str) -> None:
        """The y axis' label."""
        self.facts["ylabel"] = label

    def set_yticklabels(self, labels: Sequence[str]) -> None:
        """Names of the rows."""
        self.facts["names"] = list(labels)

    def set_yticks(self, ticks: Sequence[int], labels: Sequence[str]) -> None:
        """Rows and their names."""
        self.facts |= {"yticks": list(ticks), "names": list(labels)}

    def legend(self, **style: Any) -> None:
        """Nothing: the page has one legend for all panels."""


def write_page(comparison: Comparison, path: Path | str, x_label: str, title: str | None = None) -> Path:
    """Write a comparison as a page; an older file is replaced.

    Args:
        comparison: what was compared.
        path: the file to write; missing folders are made.
        x_label: what the curves' x axis counts.
        title: the page's heading; by default what was compared.

    Returns:
        The path.
    """
    counts = {"curves": len(comparison.worlds), "aggregates": 3, "profile": 1}
    counts |= {"improvement": 1} if len(comparison.labels) > 1 else {}
    figures: dict[str, list[Panel]] = {}
    for name, count in counts.items():
        figures[name] = [Panel() for _ in range(count)]
        FIGURES[name][0](comparison, figures[name])
    for panel in figures["curves"]:
        panel.set(xlabel=x_label, ylabel=comparison.scale)
    for panel in figures["aggregates"]:
        panel.set_yticklabels(comparison.labels[::-1])
    title = title or f"{', '.join(comparison.labels)}: {comparison.scale}"
    data = {name: [panel.facts | {"lines": panel.lines} for panel in panels] for name, panels in figures.items()}
    path = Path(path)
    write_atomically(path, document(title, _body(comparison, title, figures), data, "comparison_page.js").encode())
    return path


def _body(comparison: Comparison, title: str, figures: dict[str, list[Panel]]) -> str:
    arms = "".join(
        f'<li><label><input type="checkbox" value="{escape(label)}" checked> '
        f"{swatch(index)}{escape(label)}</label></li>"
        for index, label in enumerate(comparison.labels)
    )
    sections = "".join(
        f'<section><h2>{FIGURES[name][1]}</h2><p class="quiet">{FIGURES[name][2]}</p>'
        f'<div class="panels" id="{name}">{"<div></div>" * len(panels)}</div></section>'
        for name, panels in figures.items()
    )
    return f"""<header>
<h1>{escape(title)}</h1>
<ul class="legend" id="arms">{arms}</ul>
</header>
<main>
{sections}
<section><h2>Final scores</h2>{_table(comparison, figures["aggregates"][1])}</section>
</main>"""


def _table(comparison: Comparison, middle: Panel) -> str:
    """Means and deviations in each world; over all worlds the interquartile means that the panel shows."""
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("", *comparison.worlds, "all worlds: IQM"))
    rows = []
    for index, (row, line) in enumerate(zip(table(comparison), reversed(middle.lines), strict=True)):
        cells = "".join(
            f'<td class="number" data-label="{escape(world)}"><span>{row[world]:,.4g} ± {row[f"{world} std"]:,.4g} '
            f"({row[f'{world} seeds']} seed{'s' * (row[f'{world} seeds'] != 1)})</span></td>"
            for world in comparison.worlds
        )
        overall = f"{line['x'][0]:,.4g}"
        if line["low"] is not None:
            overall += f" [{line['low'][0]:,.4g}, {line['high'][0]:,.4g}]"
        rows.append(
            f"<tr><th>{swatch(index)}{escape(str(row['arm']))}</th>{cells}"
            f'<td class="number" data-label="all worlds: IQM"><span>{overall}</span></td></tr>'
        )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _plain(values: ArrayLike) -> list[float | None]:
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in np.asarray(values, float).tolist()]
