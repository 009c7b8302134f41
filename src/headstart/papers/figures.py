"""Figures of the papers' experiments, in one style."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.core.files import write_atomically
from headstart.evaluate.statistics import mean, stratified_bootstrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B6B6B")
"""Okabe and Ito's colours, which colour-blind readers can tell apart, without yellow and black."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Markers, so that colour is never the only difference."""

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "svg.hashsalt": "headstart",
}


@contextmanager
def figure(path: Path, panels: int = 1, title: str = "", height: float = 3.4, width: float = 4.2) -> Iterator[Any]:
    """A row of axes to draw in, written to ``path`` afterwards; the same drawing gives the same bytes.

    Args:
        path: the file to write, ending in .svg or .png.
        panels: how many axes.
        title: set above them all.
        height: inches.
        width: inches of each panel.

    Yields:
        One axes, or a list of them where there are several.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path.suffix not in (".svg", ".png"):
        raise UsageError(f"{path} ends in {path.suffix!r}; figures are written as .svg or .png")
    content = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        drawn = Figure(figsize=(width * panels, height), layout="constrained")
        FigureCanvasAgg(drawn)
        axes = list(drawn.subplots(1, panels, squeeze=False)[0])
        if title:
            drawn.suptitle(title, x=0.01, ha="left", fontsize=11)
        yield axes if panels > 1 else axes[0]
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        drawn.savefig(content, format=path.suffix[1:], dpi=130, metadata=metadata)
    write_atomically(path, content.getvalue())


def curve(axes: Axes, x: Sequence[float], values: Float[np.ndarray, "seeds points"], label: str, index: int) -> None:
    """A mean over seeds with its 95 % bootstrap band, in the colour and with the marker of its index."""
    values = np.asarray(values, np.float64)
    band = stratified_bootstrap(values[:, None, :], mean, n=2000)
    color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
    every = max(1, len(x) // 8)
    axes.plot(x, band.estimate, color=color, marker=marker, markersize=4, markevery=every, linewidth=1.8, label=label)
    if len(values) > 1:
        axes.fill_between(x, band.low, band.high, color=color, alpha=0.15, linewidth=0)


def intervals(axes: Axes, groups: dict[str, Sequence[float]], line: float | None = None) -> None:
    """One row a group: every seed as a dot, their mean and its 95 % bootstrap interval as a bar.

    Args:
        axes: where to draw.
        groups: values of each group, one a seed.
        line: a value to mark across all groups, such as zero.
    """
    for row, values in enumerate(reversed(groups.values())):
        index = len(groups) - 1 - row
        color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
        values = np.asarray(values, np.float64)
        band = stratified_bootstrap(values, mean, n=2000)
        axes.plot(values, np.full(len(values), row + 0.16), ".", color=color, alpha=0.5, markersize=5)
        if len(values) > 1:
            axes.plot([band.low, band.high], [row, row], color=color, linewidth=2.5)
        axes.plot([band.estimate], [row], marker=marker, color=color, markersize=6)
    if line is not None:
        axes.axvline(line, color="#888888", linewidth=1.0, linestyle=":")
    axes.set_yticks(range(len(groups)), list(reversed(groups)))
    axes.set_ylim(-0.6, len(groups) - 0.4)
