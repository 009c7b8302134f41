"""One self-contained HTML page about recorded runs: curves, final results, data, differences, provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from headstart.core.errors import UsageError
from headstart.core.files import write_atomically
from headstart.report import sections
from headstart.report.curves import AXES, Axis, Curve, curve_from_metrics, main_metric, run_labels
from headstart.report.document import document
from headstart.report.figures import METRIC_LABELS
from headstart.runs.folder import RunFolder
from headstart.runs.index import name_of

PAGE_POINTS = 200
"""Points of a curve on the page at most."""


@dataclass(frozen=True)
class RunOnPage:
    """A run with its label and its metrics, read once.

    Attributes:
        run: the recorded run.
        label: its name on the page.
        metrics: ``RunFolder.metrics`` of it.
    """

    run: RunFolder
    label: str
    metrics: pl.DataFrame


def write_page(
    runs: Sequence[RunFolder | Path | str],
    path: Path | str,
    title: str | None = None,
    labels: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
) -> Path:
    """Write a report on some runs as one HTML file that needs nothing else, not even a network.

    Args:
        runs: recorded runs, or their folders; at least one.
        path: the file to write; missing folders are made, an older file is replaced.
        title: the page's heading; by default the worlds of the runs.
        labels: one name a run; by default what tells them apart.
        metrics: names of the metrics to draw; by default everything about evaluation and episodes.

    Returns:
        The path.

    Raises:
        UsageError: no runs are given, none has recorded an evaluation yet, or labels do not match the runs.
        DataError: a run's record is damaged.
    """
    folders = [run if isinstance(run, RunFolder) else RunFolder.open(run) for run in runs]
    if not folders:
        raise UsageError("there are no runs to report on; give at least one run folder")
    labels = list(labels) if labels is not None else run_labels(folders)
    if len(labels) != len(folders):
        raise UsageError(f"{len(labels)} labels for {len(folders)} runs; give one label a run")
    shown = [RunOnPage(folder, label, folder.metrics()) for folder, label in zip(folders, labels)]
    if not any(run.metrics.height for run in shown):
        raise UsageError(f"none of {', '.join(labels)} has recorded anything yet; report again once training has begun")
    main = main_metric([run.metrics for run in shown if run.metrics.height])
    content = _page(shown, main, title or _default_title(folders), metrics)
    path = Path(path)
    write_atomically(path, content.encode())
    return path


def _default_title(runs: Sequence[RunFolder]) -> str:
    worlds = sorted({name for run in runs if (name := name_of(run.config, "world"))})
    return f"Learning in {', '.join(worlds)}" if worlds else "Recorded runs"


def _page(shown: Sequence[RunOnPage], main: str, title: str, metrics: Sequence[str] | None) -> str:
    curves = _curve_data(shown, main, metrics)
    seeds = sum(len(run.run.seeds) for run in shown)
    body = f"""<header>
<h1>{escape(title)}</h1>
<p class="quiet">{len(shown)} run{"s" * (len(shown) > 1)}, {seeds} seed{"s" * (seeds > 1)} in all</p>
</header>
<main>
{sections.problems(shown)}
{_curve_section(shown, curves, main)}
{sections.results(shown)}
{sections.notes(shown)}
{sections.data(shown)}
{sections.differences(shown)}
{sections.provenance(shown)}
{sections.configurations(shown)}
</main>"""
    return document(title, body, curves, "page.js")


def _curve_section(shown: Sequence[RunOnPage], curves: dict[str, Any], main: str) -> str:
    default = _default_axis(curves, main)
    metrics = "".join(
        f'<option value="{escape(name)}"{" selected" * (name == main)}>{escape(label)}</option>'
        for name, label in curves["metrics"].items()
    )
    axes = "".join(
        f'<label><input type="radio" name="axis" value="{axis}"{" checked" * (axis == default)}>{short}</label>'
        for axis, short in (("environment_steps", "steps"), ("updates", "updates"), ("time", "time"))
    )
    legend = "".join(
        f'<li><label><input type="checkbox" id="show-run-{index}" checked> '
        f"{sections.swatch(index)}{escape(run.label)}</label></li>"
        for index, run in enumerate(shown)
    )
    return f"""<section>
<h2>Learning curves</h2>
<form id="curve-controls">
<div class="controls">
<select id="metric" aria-label="metric">{metrics}</select>
<span class="choice" role="group" aria-label="x axis">{axes}</span>
<label><input type="checkbox" id="show-seeds"> each seed</label>
</div>
<ul class="legend">{legend}</ul>
</form>
<div id="curves" role="img" aria-label="learning curves; the final values are in the table below"></div>
<p class="quiet">Lines: interquartile mean over seeds. Bands: 95&nbsp;% bootstrap interval, for runs of more than one
seed. A dashed level is a policy that did not change along this axis. Bars below: the phases of each run.</p>
</section>"""


def _default_axis(curves: dict[str, Any], main: str) -> Axis:
    """Environment steps, unless nothing happened along them."""
    drawn = [run["curves"][main]["environment_steps"] for run in curves["runs"] if main in run["curves"]]
    return "environment_steps" if any(len(curve["x"]) > 1 for curve in drawn) else "updates"


def _curve_data(shown: Sequence[RunOnPage], main: str, metrics: Sequence[str] | None) -> dict[str, Any]:
    recorded = sorted({name for run in shown for name in run.metrics["name"].unique()})
    if metrics is None:
        metrics = [name for name in recorded if name.startswith(("evaluation/", "episode/"))]
    elif missing := sorted(set(metrics) - set(recorded)):
        raise UsageError(f"no run has recorded {', '.join(missing)}; recorded are {', '.join(recorded)}")
    names = dict.fromkeys([main, *metrics])
    runs = []
    for run in shown:
        table = run.metrics.filter(pl.col("value").is_finite())
        own = set(table["name"].unique())
        curves = {
            name: {axis: _plain(curve_from_metrics(table, name, axis, run.label, PAGE_POINTS)) for axis in AXES}
            for name in names
            if name in own
        }
        runs.append({"label": run.label, "seeds": run.run.seeds, "curves": curves})
    return {"metrics": {name: METRIC_LABELS.get(name, name) for name in names}, "axes": AXES, "runs": runs}


def _plain(curve: Curve) -> dict[str, Any]:
    middle, low, high = (_rounded(part) for part in curve.band)
    banded = len(curve.values) > 1
    return {
        "x": _rounded(curve.x),
        "middle": middle,
        "low": low if banded else None,
        "high": high if banded else None,
        "seeds": [_rounded(row) for row in curve.values],
        "spans": [{"phase": span.phase, "start": span.start, "end": span.end} for span in curve.spans],
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.7g}") for value in values.tolist()]
