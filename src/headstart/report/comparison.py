"""Arms compared: learning curves, aggregates with intervals, profiles, who beats whom; as figures and tables."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.core.files import write_atomically
from headstart.evaluate.scores import normalized_score
from headstart.evaluate.statistics import Interval, mean, stratified_bootstrap
from headstart.report.figures import COLORS
from headstart.report.selection import Arm

Normalization = Literal["none", "reference", "maxmin"]
POINTS = 100
"""x values of every curve, at most; no more than the curve with most values has."""


@dataclass(frozen=True)
class Comparison:
    """What was compared, ready to be drawn.

    Attributes:
        worlds: their names.
        labels: of the arms.
        x: for each world, the x values that all its curves share.
        curves: for each arm and world, values ``[seeds, points]``.
        final: for each arm and world, one score a seed: the mean of the last logged values.
        scale: what the values are, for axis labels.
    """

    worlds: list[str]
    labels: list[str]
    x: dict[str, Float[np.ndarray, " points"]]
    curves: dict[tuple[str, str], Float[np.ndarray, "seeds points"]]
    final: dict[tuple[str, str], Float[np.ndarray, " seeds"]]
    scale: str

    def matrix(self, label: str) -> Float[np.ndarray, "seeds worlds"]:
        """Final scores of one arm in all worlds, as many seeds of each as the world with fewest has."""
        scores = [self.final[label, world] for world in self.worlds]
        seeds = min(map(len, scores))
        return np.stack([part[:seeds] for part in scores], axis=1)

    @cached_property
    def bands(self) -> dict[tuple[str, str], Interval]:
        """For each arm and world the interquartile mean over seeds along the curve, with its 95 % bootstrap band."""

        def band(values: np.ndarray) -> Interval:
            return stratified_bootstrap(values[:, None], _interquartile_mean, n=_resamples(values, 500))

        return _of_each(band, self.curves)

    @cached_property
    def aggregates(self) -> dict[str, dict[str, Interval]]:
        """Median, interquartile mean and mean of each arm's final scores, with their 95 % bootstrap intervals."""
        statistics: dict[str, Callable[..., Any]] = {
            "median": lambda scores: np.median(scores.mean(0), axis=0),
            "interquartile mean": _interquartile_mean,
            "mean": mean,
        }
        matrices = {label: self.matrix(label) for label in self.labels}
        return {
            name: {label: stratified_bootstrap(m, statistic, n=_resamples(m)) for label, m in matrices.items()}
            for name, statistic in statistics.items()
        }

    @cached_property
    def profiles(self) -> tuple[Float[np.ndarray, " thresholds"], dict[str, Interval]]:
        """Thresholds, and for each arm the fraction of its runs whose final score exceeds them."""
        matrices = {label: self.matrix(label) for label in self.labels}
        every = np.concatenate([matrix.ravel() for matrix in matrices.values()])
        thresholds = np.linspace(every.min(), every.max(), 101)

        def profile(scores: np.ndarray) -> np.ndarray:
            return _profile(scores, thresholds)

        return thresholds, {
            label: stratified_bootstrap(matrix, profile, n=_resamples(matrix, 500))
            for label, matrix in matrices.items()
        }

    @cached_property
    def improvements(self) -> dict[tuple[str, str], Interval]:
        """For each pair of arms, the probability that a run of the first beats one of the second in the same world."""
        pairs = [(a, b) for index, a in enumerate(self.labels) for b in self.labels[index + 1 :]]
        both = {pair: (self.matrix(pair[0]), self.matrix(pair[1])) for pair in pairs}
        return _of_each(lambda m: stratified_bootstrap(m, _improvement, n=_resamples(m[0])), both)


def compare(
    arms: Sequence[Arm], metric: str, normalization: Normalization = "none", last: int = 10, max_x: float | None = None
) -> Comparison:
    """Put arms on common x values (as far as the shortest run goes) and normalise their values.

    Args:
        arms: at least one; labels differ. Only worlds that all of them have are compared.
        metric: its name, for the axis.
        normalization: ``reference``: percentages between the worlds' reference returns; ``maxmin``: between the least
            and the greatest value of any curve in a world; ``none``.
        last: how many of the last logged values a seed's final score is the mean of.
        max_x: leave out what comes later.

    Raises:
        UsageError: labels repeat, or no world is common to all arms, or a world has no reference returns.
    """
    labels = [arm.label for arm in arms]
    if len(set(labels)) != len(labels) or not labels:
        raise UsageError(
            f"labels of arms are {', '.join(labels) or 'none'}; give at least one arm, of different labels"
        )
    worlds = [world for world in arms[0].curves if all(world in arm.curves for arm in arms)]
    if not worlds:
        raise UsageError(
            "no world has runs of every arm; " + "; ".join(f"{a.label}: {', '.join(a.curves)}" for a in arms)
        )
    shared, curves, final = {}, {}, {}
    for world in worlds:
        every = [curve for arm in arms for curve in arm.curves[world]]
        end = min(x[-1] for x, _ in every)
        end = min(end, max_x) if max_x is not None else end
        start = max(x[0] for x, _ in every)
        shared[world] = np.linspace(min(start, end), end, min(POINTS, max(len(x) for x, _ in every)))
        scaled = _scaling(world, [values for _, values in every], normalization)
        for arm in arms:
            counts = [int(np.searchsorted(x, end, "right")) for x, _ in arm.curves[world]]
            kept = [(x[:n], scaled(v[:n])) for n, (x, v) in zip(counts, arm.curves[world], strict=True)]
            curves[arm.label, world] = np.stack([np.interp(shared[world], x, values) for x, values in kept])
            final[arm.label, world] = np.array([values[-last:].mean() for _, values in kept])
    scales = {"none": metric, "reference": f"{metric}, % of reference", "maxmin": f"{metric}, 0 to 1"}
    return Comparison(worlds, labels, shared, curves, final, scales[normalization])


def _scaling(world: str, values: Sequence[np.ndarray], normalization: Normalization) -> Callable[[Any], Any]:
    if normalization == "reference":
        return lambda returns: np.asarray(normalized_score(world, returns))
    if normalization == "maxmin":
        low, high = min(part.min() for part in values), max(part.max() for part in values)
        return lambda part: (part - low) / (high - low) if high > low else np.zeros_like(part)
    return lambda part: part


def table(comparison: Comparison) -> list[dict[str, str | float]]:
    """One row an arm: in each world mean and standard deviation (of the population) of the seeds' final scores."""
    rows = []
    for label in comparison.labels:
        row: dict[str, str | float] = {"arm": label}
        for world in comparison.worlds:
            scores = comparison.final[label, world]
            row |= {world: float(scores.mean()), f"{world} std": float(scores.std()), f"{world} seeds": len(scores)}
        rows.append(row)
    return rows


def markdown(comparison: Comparison) -> str:
    """The table as Markdown, and interquartile means over all worlds with their 95 % bootstrap intervals."""
    lines = [f"| {comparison.scale} | {' | '.join(comparison.worlds)} | all worlds: IQM (95 % interval) |"]
    lines.append("| --- " * (len(comparison.worlds) + 2) + "|")
    for label in comparison.labels:
        cells = [
            f"{scores.mean():,.4g} ± {scores.std():,.4g}"
            for scores in (comparison.final[label, world] for world in comparison.worlds)
        ]
        estimate, low, high = comparison.aggregates["interquartile mean"][label]
        lines.append(f"| {label} | {' | '.join(cells)} | {estimate:,.4g} ({low:,.4g} – {high:,.4g}) |")
    return "\n".join(lines) + "\n"


def write(comparison: Comparison, out: Path | str, kind: Literal["svg", "png", "pdf"] = "svg") -> list[Path]:
    """Write all figures and tables; returns their paths.

    ``OUT`` (curves), ``OUT-aggregate``, ``OUT-profile``, with several arms ``OUT-improvement``, and the table as
    ``OUT.md`` and ``OUT.csv``.
    """
    import polars as pl

    out = Path(out)
    figures: dict[str, tuple[int, Callable[[Comparison, Any], None]]] = {
        "": (len(comparison.worlds), draw_curves),
        "-aggregate": (3, draw_aggregates),
        "-profile": (1, draw_profiles),
    }
    if len(comparison.labels) > 1:
        figures["-improvement"] = (1, draw_improvement)
    paths = []
    for ending, (panels, draw) in figures.items():
        path = out.with_name(f"{out.name}{ending}.{kind}")
        _figure(path, panels, lambda axes, draw=draw: draw(comparison, axes))
        paths.append(path)
    write_atomically(out.with_name(f"{out.name}.md"), markdown(comparison).encode())
    write_atomically(out.with_name(f"{out.name}.csv"), pl.DataFrame(table(comparison)).write_csv().encode())
    return [*paths, out.with_name(f"{out.name}.md"), out.with_name(f"{out.name}.csv")]


def draw_curves(comparison: Comparison, axes: Sequence[Any]) -> None:
    """Interquartile mean over seeds in each world, with its 95 % bootstrap band."""
    for world, axis in zip(comparison.worlds, axes, strict=True):
        for index, label in enumerate(comparison.labels):
            band, color = comparison.bands[label, world], COLORS[index % len(COLORS)]
            axis.plot(comparison.x[world], band.estimate, color=color, linewidth=1.8, label=label)
            if len(comparison.curves[label, world]) > 1:
                axis.fill_between(comparison.x[world], band.low, band.high, color=color, alpha=0.15, linewidth=0)
        axis.set(title=world, xlabel="")
    axes[0].set_ylabel(comparison.scale)
    axes[-1].legend(frameon=False, fontsize=8)


def draw_aggregates(comparison: Comparison, axes: Sequence[Any]) -> None:
    """Median, interquartile mean and mean of all final scores, each with its 95 % bootstrap interval."""
    for axis, (name, intervals) in zip(axes, comparison.aggregates.items(), strict=True):
        for row, label in enumerate(reversed(comparison.labels)):
            color = COLORS[(len(comparison.labels) - 1 - row) % len(COLORS)]
            estimate, low, high = intervals[label]
            axis.plot([low, high], [row, row], color=color, linewidth=3)
            axis.plot([estimate], [row], "o", color=color)
        axis.set(title=name, yticks=range(len(comparison.labels)), xlabel=comparison.scale)
        axis.set_yticklabels(list(reversed(comparison.labels)) if axis is axes[0] else [])


def draw_profiles(comparison: Comparison, axes: Sequence[Any]) -> None:
    """The fraction of all runs whose final score exceeds each threshold."""
    thresholds, profiles = comparison.profiles
    for index, (label, band) in enumerate(profiles.items()):
        color = COLORS[index % len(COLORS)]
        axes[0].plot(thresholds, band.estimate, color=color, linewidth=1.8, label=label)
        if np.isfinite(band.low).all():
            axes[0].fill_between(thresholds, band.low, band.high, color=color, alpha=0.15, linewidth=0)
    axes[0].set(title="performance profile", xlabel=f"{comparison.scale} (τ)", ylabel="fraction of runs above τ")
    axes[0].legend(frameon=False, fontsize=8)


def draw_improvement(comparison: Comparison, axes: Sequence[Any]) -> None:
    """For each pair of arms, the probability that a run of the one beats one of the other in the same world."""
    pairs = list(comparison.improvements.items())[::-1]
    for row, (_, (estimate, low, high)) in enumerate(pairs):
        axes[0].plot([low, high], [row, row], color=COLORS[0], linewidth=3)
        axes[0].plot([estimate], [row], "o", color=COLORS[0])
    axes[0].axvline(0.5, color="#888888", linestyle=":", linewidth=1)
    axes[0].set(title="probability of improvement", xlabel="P(first > second)", xlim=(-0.02, 1.02))
    axes[0].set_yticks(range(len(pairs)), [f"{a} > {b}" for (a, b), _ in pairs])


# Of arrays as large as resampled ones, columns are sorted or partitioned where they are contiguous.


def _interquartile_mean(scores: np.ndarray) -> Any:
    """``interquartile_mean`` without a whole sort."""
    count = scores.shape[0] * scores.shape[1]
    columns, cut = np.ascontiguousarray(scores.reshape(count, -1).T), count // 4
    columns.partition((cut, count - cut - 1), axis=-1)
    return columns[:, cut : count - cut].mean(-1).reshape(scores.shape[2:])[()]


def _profile(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """``performance_profile`` by sorting."""
    columns = np.sort(scores.reshape(scores.shape[0] * scores.shape[1], -1).T)
    above = [1 - np.searchsorted(column, thresholds, "right") / columns.shape[1] for column in columns]
    return np.reshape(above, (*scores.shape[2:], len(thresholds)))


def _improvement(a: np.ndarray, b: np.ndarray) -> Any:
    """``probability_of_improvement`` by sorting."""
    shape = a.shape[1:]
    a, b = a.reshape(len(a), -1).T, np.sort(b.reshape(len(b), -1).T)
    wins = [np.searchsorted(theirs, ours, side).mean() for ours, theirs in zip(a, b) for side in ("left", "right")]
    return np.mean(np.reshape(wins, (*shape, 2)) / b.shape[1], axis=(0, -1))


def _of_each(make: Callable[[Any], Interval], given: Mapping[Any, Any]) -> dict[Any, Interval]:
    """What is made of each, on all cores: NumPy's loops do without the interpreter."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return dict(zip(given, threads.map(make, given.values()), strict=True))


def _resamples(scores: np.ndarray, most: int = 2000) -> int:
    """Fewer resamples the more there is to resample: intervals of many seeds are narrow, and enough is enough."""
    return int(np.clip(2_000_000 / scores.size, 50, most))


def _figure(path: Path, panels: int, draw: Callable[[Sequence[Any]], None]) -> None:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "font.size": 9.5,
        "svg.hashsalt": "headstart",
    }
    content, columns = io.BytesIO(), min(panels, 4)
    rows = -(-panels // columns)
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(4.0 * columns, 3.2 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
        for unused in axes[panels:]:
            unused.set_axis_off()
        draw(axes[:panels])
        dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}[path.suffix]
        figure.savefig(content, format=path.suffix[1:], dpi=150, metadata=dates)
    write_atomically(path, content.getvalue())
