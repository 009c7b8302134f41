"""The page's sections that are text and tables; each function returns HTML for some runs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl

from headstart.evaluate.scores import find_reference
from headstart.evaluate.statistics import Interval, interquartile_mean, stratified_bootstrap
from headstart.report.curves import final_values
from headstart.report.figures import METRIC_LABELS, PHASE_LABELS
from headstart.runs.index import flatten, name_of

if TYPE_CHECKING:
    from headstart.report.page import RunOnPage

HEADLINES = ("evaluation/score", "evaluation/return", "evaluation/success")
"""Metrics whose final values are tabulated, where recorded."""


def swatch(index: int) -> str:
    """The coloured square that stands for a run."""
    return f'<i class="swatch run-{index % 7}"></i>'


def final_interval(metrics: pl.DataFrame, metric: str) -> Interval | None:
    """Interquartile mean over seeds of the last value of a metric, with its 95 % bootstrap interval; None without any.

    Args:
        metrics: a run's table (``RunFolder.metrics``).
        metric: its name.
    """
    values = list(final_values(metrics, metric).values())
    return stratified_bootstrap(values, interquartile_mean) if values else None


def problems(shown: Sequence[RunOnPage]) -> str:
    """What went wrong in which seed; nothing when nothing did."""
    cards = []
    for index, run in enumerate(shown):
        for folder in run.run.seed_folders():
            status = folder.status()
            if status.error is not None:
                error = status.error
                where = f"in {_phase(error['phase'])} after {_steps(error['updates'], error['environment_steps'])}"
                text = f"failed {where}: {error['kind']}: {error['message']}"
            elif status.state in ("killed", "stopped", "running", "waiting"):
                text = f"{status.state} after {_steps(status.updates, status.environment_steps)}"
            else:
                continue
            cards.append(
                f'<p class="card problem" data-state="{status.state}">{swatch(index)}<b>{escape(run.label)}</b>, '
                f"seed {folder.seed}: {escape(text)}</p>"
            )
    return f"<section><h2>Not finished</h2>{''.join(cards)}</section>" if cards else ""


def notes(shown: Sequence[RunOnPage]) -> str:
    """What the runs noted while they trained, each line once a run; nothing when nothing was noted."""
    cards = []
    for index, run in enumerate(shown):
        lines = dict.fromkeys(line for folder in run.run.seed_folders() for line in folder.notes())
        if lines:
            items = "".join(f"<li>{escape(line)}</li>" for line in lines)
            cards.append(f"<h3>{swatch(index)}{escape(run.label)}</h3><ul>{items}</ul>")
    return f"<section><h2>Notes</h2>{''.join(cards)}</section>" if cards else ""


def results(shown: Sequence[RunOnPage]) -> str:
    """The table of final results."""
    recorded = {name for run in shown for name in run.metrics["name"].unique()}
    headlines = [metric for metric in HEADLINES if metric in recorded]
    heads = "".join(f'<th scope="col">{escape(_label(metric))}</th>' for metric in headlines)
    rows = "".join(_result_row(index, run, headlines) for index, run in enumerate(shown))
    return f"""<section>
<h2>Final results</h2>
<table id="results">
<caption>Last evaluation of each seed: interquartile mean over seeds [95&nbsp;% bootstrap interval].{_references(shown)}
</caption>
<thead><tr><th scope="col">run</th>{heads}<th scope="col">seeds</th><th scope="col">phases</th></tr></thead>
<tbody>{rows}</tbody>
</table>
{_every_seed(shown, headlines)}
</section>"""


def data(shown: Sequence[RunOnPage]) -> str:
    """A card for each dataset that the runs phases."""
    cards, seen = [], []
    for run in shown:
        record = run.run.config.get("data")
        if record is None or record in seen:
            continue
        seen.append(record)
        facts = flatten(record) if isinstance(record, Mapping) else {}
        facts = {key.removeprefix("description."): value for key, value in facts.items() if key != "name"}
        name = escape(name_of(run.run.config, "data") or "unnamed")
        cards.append(f'<div class="card" data-dataset="{name}"><h3>{name}</h3>{_facts(facts)}</div>')
    return f"<section><h2>Data</h2>{''.join(cards)}</section>" if cards else ""


def differences(shown: Sequence[RunOnPage]) -> str:
    """Configuration keys whose values differ between the runs; nothing for a single run."""
    if len(shown) == 1:
        return ""
    configs = [
        flatten({**run.run.config, "spec": None, **{part: name_of(run.run.config, part) for part in ("world", "data")}})
        for run in shown
    ]
    differing, shared = _compare(configs)
    text = _differing(differing, shown) if differing else "<p>The runs have the same configuration.</p>"
    return f"""<section id="differences">
<h2>Configuration differences</h2>
<p class="quiet">{len(differing)} settings differ, {len(shared)} are the same.</p>
{text}
</section>"""


def provenance(shown: Sequence[RunOnPage]) -> str:
    """Code, versions, machine and command of the runs: what they share once, the rest by run."""
    records = []
    for run in shown:
        created = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run.run.created))
        record = {**run.run.provenance, "command": " ".join(map(str, run.run.provenance.get("command") or []))}
        records.append(flatten({"run": str(run.run.path), "created": created, **record}))
    differing, shared = _compare(records)
    common = _facts(shared)
    if len(shown) > 1:
        common = (
            f"<details><summary>Different between runs</summary>{_differing(differing, shown)}</details>"
            f"<details><summary>Shared by all runs</summary>{common}</details>"
        )
    return f"""<section id="provenance">
<h2>Provenance</h2>
{common}
</section>"""


def configurations(shown: Sequence[RunOnPage]) -> str:
    """Every run's whole configuration."""
    return "<section><h2>Full configurations</h2>{}</section>".format(
        "".join(
            f"<details><summary>{swatch(index)}{escape(run.label)}</summary>"
            f"<pre>{escape(json.dumps(run.run.config, indent=2))}</pre></details>"
            for index, run in enumerate(shown)
        )
    )


def _result_row(index: int, run: RunOnPage, headlines: Sequence[str]) -> str:
    cells = "".join(_result_cell(index, metric, final_interval(run.metrics, metric)) for metric in headlines)
    finished = sum(folder.status().state == "finished" for folder in run.run.seed_folders())
    count = len(run.run.seeds)
    seeds = str(count) if finished == count else f"{count} ({finished} finished)"
    return (
        f'<tr id="run-{index}"><th scope="row">{swatch(index)}{escape(run.label)}</th>{cells}'
        f'<td data-label="seeds"><span>{seeds}</span></td>'
        f'<td data-label="phases"><span>{escape(_plan(run))}</span></td></tr>'
    )


def _result_cell(index: int, metric: str, interval: Interval | None) -> str:
    label = escape(_label(metric))
    name = f"final-{index}-{escape(metric.replace('/', '-'))}"
    if interval is None:
        return f'<td class="number" data-label="{label}" id="{name}"><span>not recorded</span></td>'
    estimate, low, high = (float(part) for part in interval)
    bounds = f" [{_number(low)}, {_number(high)}]" if low == low else ""
    return (
        f'<td class="number" data-label="{label}" id="{name}" data-estimate="{estimate!r}" data-low="{low!r}" '
        f'data-high="{high!r}"><span><b>{_number(estimate)}</b>{bounds}</span></td>'
    )


def _every_seed(shown: Sequence[RunOnPage], headlines: Sequence[str]) -> str:
    rows = []
    for index, run in enumerate(shown):
        finals = {metric: final_values(run.metrics, metric) for metric in headlines}
        for folder in run.run.seed_folders():
            status = folder.status()
            cells = "".join(
                f'<td class="number" data-label="{escape(_label(metric))}"><span>'
                f"{_number(values[folder.seed]) if folder.seed in values else 'not recorded'}</span></td>"
                for metric, values in finals.items()
            )
            rows.append(
                f'<tr><th scope="row">{swatch(index)}{escape(run.label)}, seed {folder.seed}</th>{cells}'
                f'<td data-label="state"><span>{status.state}</span></td>'
                f'<td data-label="done"><span>{_steps(status.updates, status.environment_steps)}</span></td></tr>'
            )
    heads = "".join(f'<th scope="col">{escape(_label(metric))}</th>' for metric in headlines)
    return f"""<details><summary>Every seed</summary><table id="seeds">
<thead><tr><th scope="col">seed</th>{heads}<th scope="col">state</th><th scope="col">done</th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></details>"""


def _references(shown: Sequence[RunOnPage]) -> str:
    """What 0 and 100 of the normalised scores are, for the worlds of runs that recorded one."""
    worlds = {name_of(run.run.config, "world") for run in shown if "evaluation/score" in run.metrics["name"]}
    lines = []
    for world in sorted(name for name in worlds if name):
        if reference := find_reference(world):
            lines.append(
                f" Score of {escape(world)}: 0 is a return of {_number(reference.low)}, 100 of "
                f"{_number(reference.high)} ({escape(reference.source)})."
            )
    return "".join(lines)


def _plan(run: RunOnPage) -> str:
    """What each phase added, averaged over seeds, such as "offline 5,000 updates, online 3,000 steps"."""
    words, before = [], (0.0, 0.0)
    columns = ("updates", "environment_steps")
    ends = run.metrics.group_by("phase", "seed").agg(*(pl.col(column).max() for column in columns))
    for phase in run.metrics["phase"].unique(maintain_order=True):
        rows = ends.filter(pl.col("phase") == phase)
        updates, steps = (float(rows[column].to_numpy().mean()) for column in columns)
        spent = _steps(updates - before[0], steps - before[1])
        words.append(f"{_phase(phase)}: {spent}")
        before = (updates, steps)
    return "; ".join(words) or "nothing yet"


def _compare(records: Sequence[Mapping[str, Any]]) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Facts that differ (a value a record, None where missing), and those all records share."""
    keys = list(dict.fromkeys(key for record in records for key in record))
    values = {key: [record.get(key) for record in records] for key in keys}
    differing = {key: found for key, found in values.items() if any(value != found[0] for value in found)}
    return differing, {key: found[0] for key, found in values.items() if key not in differing}


def _differing(facts: Mapping[str, Sequence[Any]], shown: Sequence[RunOnPage]) -> str:
    """Each fact with its values; runs of the same value share a line."""
    rows = []
    for key, values in facts.items():
        texts = [_value(value) for value in values]
        items = ""
        for text in dict.fromkeys(texts):
            who = "".join(
                f'<span class="quiet" data-run="{index}">{swatch(index)}{escape(run.label)}</span>'
                for index, run in enumerate(shown)
                if texts[index] == text
            )
            items += f"<li><code>{escape(text)}</code>{who}</li>"
        rows.append(f'<dt>{_key(key)}</dt><dd><ul class="values" data-key="{escape(key)}">{items}</ul></dd>')
    return f"<dl>{''.join(rows)}</dl>"


def _facts(facts: Mapping[str, Any]) -> str:
    return f"<dl>{''.join(f'<dt>{_key(k)}</dt><dd>{escape(_value(v))}</dd>' for k, v in facts.items())}</dl>"


def _key(name: str) -> str:
    """A key that may be broken where its parts meet."""
    return escape(name).replace(".", ".<wbr>").replace("_", "_<wbr>")


def _value(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    return json.dumps(value)


def _steps(updates: float, environment_steps: float) -> str:
    parts = [f"{updates:,.0f} updates"] * (updates > 0) + [f"{environment_steps:,.0f} steps"] * (environment_steps > 0)
    return ", ".join(parts) or "nothing"


def _phase(name: str | None) -> str:
    return PHASE_LABELS.get(name, name) if name else "the beginning"


def _label(metric: str) -> str:
    return METRIC_LABELS.get(metric, metric)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) < 1 else f"{value:.1f}"
