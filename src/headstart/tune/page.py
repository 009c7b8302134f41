"""One self-contained HTML page about a search: what was chosen, whether it holds on new seeds, and what mattered."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.files import write_atomically
from headstart.tune.history import Trial
from headstart.tune.summary import checklist, number, verdict
from headstart.tune.tuning import Tuning

# The page can load nothing from anywhere: what it shows is in it.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_COLORS = {"tuning": "#d55e00", "test": "#0072b2", "default": "#6b6b6b"}


def write_page(tuning: Tuning, path: Path | str) -> Path:
    """Write the page; an older file is replaced.

    Args:
        tuning: the search, finished or not.
        path: the file to write.

    Returns:
        The path.
    """
    from plotly.offline import get_plotlyjs

    figures = {name: figure for name, figure in _figures(tuning).items() if figure is not None}
    # "<" never appears in the embedded JSON, so no text in it can end the script element.
    embedded = json.dumps(figures, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    title = f"Search of {_subject(tuning)}"
    sections = "".join(
        f'<section><h2>{heading}</h2><p class="quiet">{text}</p>'
        f'<div class="figure" id="{name}" role="img" aria-label="{heading}"></div></section>'
        for name, (heading, text) in _HEADINGS.items()
        if name in figures
    )
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>{(Path(__file__).parent / "page.css").read_text()}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{_choice(tuning)}
{sections}
{_trials(tuning)}
<section><h2>Checklist</h2><p class="quiet">What to report of this search, so that it can be judged and repeated.</p>
{_facts(checklist(tuning))}</section>
<script type="application/json" id="figure-data">{embedded}</script>
<script>{get_plotlyjs()}</script>
<script>{(Path(__file__).parent / "page.js").read_text()}</script>
</body>
</html>
"""
    path = Path(path)
    write_atomically(path, page.encode())
    return path


_HEADINGS = {
    "gap": (
        "Tuning seeds against test seeds",
        "One point a seed. The tuning scores are what the choice was made by, so they flatter it; the test scores are "
        "of training anew with seeds that the search never saw.",
    ),
    "progress": ("Best score so far", "Mean over the tuning seeds of trials trained to the end, by what was spent."),
    "coordinates": (
        "All trials",
        "One line a trial that was trained to the end, coloured by its score on the tuning seeds.",
    ),
    "importance": (
        "What mattered",
        "Share of each hyper-parameter in what sets the best quarter of the trials apart (PED-ANOVA).",
    ),
}


def _subject(tuning: Tuning) -> str:
    record = tuning.setup.objective.to_json()
    if record["kind"] == "function":
        return str(record["name"])
    data = f" on {Path(record['data']).name}" if record["data"] else ""
    return f"{record['method']['name']}{data} in {record['world']}"


def _choice(tuning: Tuning) -> str:
    best = tuning.incumbent
    if best is None:
        return "<section><p>No trial is finished yet.</p></section>"
    lines = "".join(f"<li>{escape(line)}</li>" for line in verdict(tuning))
    stretches = best.step.schedule
    schedule = "".join(
        f"<h3>until step {steps:,}</h3>{_facts({name: number(value) for name, value in configuration.items()})}"
        for steps, configuration in stretches
    )
    words = f"<details><summary>Its schedule, {len(stretches)} stretches</summary>{schedule}</details>"
    shown = schedule.split("</h3>", 1)[1] if len(stretches) == 1 else words
    return f'<section id="choice"><h2>Chosen: trial {best.number}</h2>{shown}<ul>{lines}</ul></section>'


def _facts(facts: dict[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(v)}</dd>' for k, v in facts.items())}</dl>"


def _trials(tuning: Tuning) -> str:
    names = list(tuning.setup.space.domains)
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("trial", "score", "state", "steps", *names))
    rows = []
    for trial in tuning.history.trials.values():
        score = trial.score()
        cells = [trial.number, "" if score is None else number(score), tuning.history.state(trial), trial.step.steps]
        cells += [number(trial.configuration[name]) for name in names]
        why = "; ".join(dict.fromkeys(trial.errors.values()))
        rows.append(f"<tr>{''.join(f'<td>{escape(str(c))}</td>' for c in cells)}</tr>")
        rows += [f'<tr class="problem"><td colspan="{len(cells)}">{escape(why)}</td></tr>'] if why else []
    return (
        f"<section><details><summary>Table of all {len(tuning.history.trials)} trials</summary>"
        f'<table id="trials"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></details></section>'
    )


# -- figures, as Plotly's own JSON -----------------------------------------------------------------------------------


def _figures(tuning: Tuning) -> dict[str, dict[str, Any] | None]:
    history = tuning.history
    finished = [trial for trial in history.trials.values() if history.state(trial) == "finished"]
    return {
        "gap": _gap(tuning),
        "progress": _progress(tuning, finished),
        "coordinates": _coordinates(tuning, finished),
        "importance": _importance(tuning),
    }


def _gap(tuning: Tuning) -> dict[str, Any] | None:
    rows = {
        "tuning seeds": (tuning.tuning_scores, _COLORS["tuning"]),
        "test seeds": (tuning.test_scores(), _COLORS["test"]),
        "default, test seeds": (tuning.test_scores("default"), _COLORS["default"]),
    }
    rows = {name: row for name, row in rows.items() if len(row[0])}
    if not rows:
        return None
    data = []
    for name, (scores, color) in rows.items():
        seeds = {"x": scores.tolist(), "y": [name] * len(scores), "marker": {"color": color, "opacity": 0.5, "size": 9}}
        middle = {"x": [float(scores.mean())], "y": [name], "marker": {"color": color, "size": 16, "symbol": "diamond"}}
        data += [{"type": "scatter", "mode": "markers", "showlegend": False, **part} for part in (seeds, middle)]
    return {"data": data, "layout": {"xaxis": {"title": "score"}, "yaxis": {"autorange": "reversed"}, "height": 280}}


def _progress(tuning: Tuning, finished: list[Trial]) -> dict[str, Any] | None:
    if not finished:
        return None
    # Trials count where they were asked for; what ran beside them makes the place approximate, never the order.
    spent = np.cumsum([trial.spent for trial in tuning.history.trials.values()])
    place = {trial.number: float(total) for trial, total in zip(tuning.history.trials.values(), spent)}
    whole = tuning.setup.full * len(tuning.setup.tuning_seeds)
    x = [place[trial.number] / whole for trial in finished]
    scores = [trial.score() or 0.0 for trial in finished]
    best = np.maximum.accumulate(scores).tolist()
    dots = {"x": x, "y": scores, "mode": "markers", "name": "trial", "marker": {"color": _COLORS["default"]}}
    line = {
        "x": x,
        "y": best,
        "mode": "lines",
        "name": "best so far",
        "line": {"color": _COLORS["test"], "shape": "hv"},
    }
    layout = {"xaxis": {"title": "spent, in whole trials"}, "yaxis": {"title": "score, tuning seeds"}, "height": 340}
    return {"data": [{"type": "scatter", **part} for part in (dots, line)], "layout": layout}


def _coordinates(tuning: Tuning, finished: list[Trial]) -> dict[str, Any] | None:
    if len(finished) < 2:
        return None
    space = tuning.setup.space
    points = np.array([space.to_unit(space.clipped(trial.configuration)) for trial in finished])
    scores = [trial.score() or 0.0 for trial in finished]
    dimensions: list[dict[str, Any]] = []
    for column, (name, domain) in enumerate(space.domains.items()):
        ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
        labels = [number(domain.from_unit(tick)) for tick in ticks]
        values = points[:, column].tolist()
        dimensions.append({"label": name, "range": [0, 1], "values": values, "tickvals": ticks, "ticktext": labels})
    dimensions.append({"label": "score", "values": scores})
    line = {"color": scores, "colorscale": "Viridis", "showscale": False}
    return {"data": [{"type": "parcoords", "dimensions": dimensions, "line": line}], "layout": {"height": 420}}


def _importance(tuning: Tuning) -> dict[str, Any] | None:
    try:
        from headstart.tune.importance import importances
    except ImportError:
        return None  # Optuna is not installed
    shares = importances(tuning)
    if not shares:
        return None
    names = list(shares)[::-1]
    bars = {"type": "bar", "orientation": "h", "x": [shares[name] for name in names], "y": names}
    layout = {"xaxis": {"title": "share", "range": [0, 1]}, "height": 140 + 26 * len(names)}
    return {"data": [bars | {"marker": {"color": _COLORS["test"]}}], "layout": layout}
