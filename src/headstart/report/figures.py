"""Learning-curve figures as SVG or PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.core.files import write_atomically
from headstart.report.curves import AXES, Axis, Curve, main_metric, read_curve, run_labels
from headstart.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B6B6B")
"""Okabe and Ito's colours, which colour-blind readers can tell apart, without yellow and black."""
DASHES = ("-", "--", "-.", ":")
"""Line styles for the second and later times that the colours are used."""

METRIC_LABELS = {
    "evaluation/score": "normalised score (%)",
    "evaluation/return": "return",
    "evaluation/success": "success rate",
    "episode/return": "return while exploring",
}

PHASE_LABELS = {"warmup": "warm-up"}

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "svg.hashsalt": "headstart",
}


def draw_runs(
    runs: Sequence[RunFolder],
    path: Path | str,
    metric: str | None = None,
    axis: Axis = "environment_steps",
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> Path:
    """Draw the learning curves of recorded runs; see ``draw_curves``.

    Args:
        runs: at least one.
        path: the file to write; its ending says the format.
        metric: what to draw; by default the main metric that all runs have.
        axis: what to draw it against.
        labels: one name a run; by default what tells them apart.
        title: set above the figure.

    Raises:
        UsageError: there are no runs, or they have not recorded the metric.
    """
    if not runs:
        raise UsageError("there are no runs to draw")
    metric = metric or main_metric([run.metrics() for run in runs])
    curves = [read_curve(run, metric, axis, label) for run, label in zip(runs, labels or run_labels(runs), strict=True)]
    return draw_curves(curves, path, AXES[axis], METRIC_LABELS.get(metric, metric), title)


def draw_curves(
    curves: Sequence[Curve], path: Path | str, x_label: str, y_label: str, title: str | None = None
) -> Path:
    """Draw interquartile means over seeds with 95 % bootstrap bands, labelled at the line's end.

    A curve with a single point is a policy that did not change along x, and is drawn as a dashed level. Phases before
    the last are shaded. The same curves give the same bytes.

    Args:
        curves: at least one.
        path: the file to write, ending in .svg, .png or .pdf; missing folders are made.
        x_label: the x axis' label.
        y_label: the y axis' label.
        title: set above the figure.

    Returns:
        The path.

    Raises:
        UsageError: there are no curves, or the ending is unknown.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = Path(path)
    if not curves:
        raise UsageError("there are no curves to draw")
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise UsageError(f"{path} ends in {path.suffix!r}; figures are written as .svg, .png or .pdf")
    content = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.0, 4.0), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _draw(axes, curves)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if title:
            axes.set_title(title, loc="left", fontweight="bold", fontsize=11)
        seeds = sorted({len(curve.values) for curve in curves})
        note = (
            f"{'–'.join(str(count) for count in (seeds[0], seeds[-1])[: len(seeds)])} seed{'s' * (seeds[-1] > 1)} each"
        )
        note += ", interquartile mean, band: 95 % bootstrap interval" if seeds[-1] > 1 else ""
        figure.supxlabel(note, fontsize=8, color="#666666", x=0.01, ha="left")
        dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}[path.suffix]
        figure.savefig(content, format=path.suffix[1:], dpi=160, metadata=dates, bbox_inches="tight")
    write_atomically(path, content.getvalue())
    return path


def _draw(axes: Axes, curves: Sequence[Curve]) -> None:
    moving = [curve for curve in curves if len(curve.x) > 1]
    start = min((curve.x[0] for curve in moving), default=0.0)
    end = max((curve.x[-1] for curve in moving), default=1.0)
    ends = []
    for index, curve in enumerate(curves):
        color = COLORS[index % len(COLORS)]
        level = len(curve.x) == 1
        x = np.array([start, end]) if level else curve.x
        middle, low, high = (np.broadcast_to(part, x.shape) if level else part for part in curve.band)
        style = "--" if level else DASHES[index // len(COLORS) % len(DASHES)]
        axes.plot(x, middle, color=color, linestyle=style, linewidth=1.4 if level else 2.0, zorder=3)
        if len(curve.values) > 1:
            axes.fill_between(x, low, high, color=color, alpha=0.10 if level else 0.18, linewidth=0, zorder=2)
        ends.append(float(middle[-1]))
    axes.set_xlim(start, end)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.ticklabel_format(axis="x", style="plain")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if end > 20 else f"{value:g}")
    _shade_phases(axes, moving)
    _label_ends(axes, curves, np.array(ends))


def _shade_phases(axes: Axes, curves: Sequence[Curve]) -> None:
    shaded = sorted({span for curve in curves for span in curve.spans[:-1]}, key=lambda span: (span.start, span.end))
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + (0.09 * (high - low) if shaded else 0.0))
    for span in shaded:
        axes.axvspan(span.start, span.end, color="#000000", alpha=0.05, linewidth=0, zorder=0)
        axes.annotate(
            PHASE_LABELS.get(span.phase, span.phase),
            (span.start, 1.0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(4, -3),
            textcoords="offset points",
            va="top",
            fontsize=8,
            color="#666666",
        )


def _label_ends(axes: Axes, curves: Sequence[Curve], ends: Float[np.ndarray, " curves"]) -> None:
    """Write each curve's label beside its end, moved apart where they would overlap."""
    bottom, top = axes.get_ylim()
    places = _apart(ends, 0.062 * (top - bottom), bottom, top)
    for index, (curve, place) in enumerate(zip(curves, places)):
        axes.annotate(
            curve.label,
            (1.0, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=COLORS[index % len(COLORS)],
            fontsize=9.5,
            annotation_clip=False,
        )


def _apart(wanted: Float[np.ndarray, " n"], gap: float, lowest: float, highest: float) -> Float[np.ndarray, " n"]:
    """Positions in the order of ``wanted`` and near them, at least ``gap`` apart, within the bounds if they fit."""
    order = np.argsort(wanted, kind="stable")
    placed = np.maximum(wanted[order], lowest)
    for index in range(1, len(placed)):
        placed[index] = max(placed[index], placed[index - 1] + gap)
    placed[-1] = min(placed[-1], max(highest, lowest + gap * (len(placed) - 1)))
    for index in range(len(placed) - 2, -1, -1):
        placed[index] = min(placed[index], placed[index + 1] - gap)
    result = np.empty_like(placed)
    result[order] = placed
    return result
