"""Learning curves of recorded runs: every seed on one x axis, with what the plan was doing where."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Float

from headstart.core.errors import DataError, UsageError
from headstart.core.registry import unknown
from headstart.evaluate.statistics import Interval, interquartile_mean, stratified_bootstrap
from headstart.runs.folder import RunFolder
from headstart.runs.index import name_of

Axis = Literal["environment_steps", "updates", "time"]
AXES: dict[Axis, str] = {
    "environment_steps": "environment steps",
    "updates": "gradient updates",
    "time": "training time (seconds)",
}
"""What a learning curve can be drawn against, and how the axis is labelled."""

RESAMPLES = 1000
POINTS = 400


@dataclass(frozen=True)
class Span:
    """The part of an x axis that one phase of the plan took, averaged over seeds.

    Attributes:
        phase: the phase's name.
        start: where it began, in the axis' units.
        end: where it ended.
    """

    phase: str
    start: float
    end: float


@dataclass(frozen=True)
class Curve:
    """One line of a learning-curve figure: all seeds of a run on shared x values.

    Attributes:
        label: its name in legends.
        x: increasing; one point only for a policy that did not change along this axis.
        values: one row a seed.
        spans: the phases along x; empty where unknown.
    """

    label: str
    x: Float[np.ndarray, " points"]
    values: Float[np.ndarray, "seeds points"]
    spans: tuple[Span, ...] = ()

    def __post_init__(self):
        if self.values.ndim != 2 or self.x.shape != self.values.shape[1:] or not self.values.size:
            raise DataError(
                f"curve {self.label!r} has x of shape {list(self.x.shape)} and values of shape "
                f"{list(self.values.shape)}; expected [points] and [seeds, points]"
            )
        if not np.all(np.diff(self.x) > 0):
            raise DataError(f"the x values of curve {self.label!r} do not increase")

    @functools.cached_property
    def band(self) -> Interval:
        """Interquartile mean over seeds at each point and its 95 % bootstrap bounds, arrays ``[points]``."""
        return stratified_bootstrap(self.values[:, None, :], interquartile_mean, RESAMPLES)


def run_labels(runs: Sequence[RunFolder]) -> list[str]:
    """Short names that tell runs apart: the method, with data, world, or folder added only where needed."""
    named = [[name_of(run.config, part) for part in ("method", "data", "world")] for run in runs]
    for parts in range(1, 4):
        labels = [" · ".join(name for name in names[:parts] if name) for names in named]
        if len(set(labels)) == len(runs) and all(labels):
            return labels
    folders = [run.path.resolve().name for run in runs]
    return folders if len(set(folders)) == len(runs) else [str(run.path) for run in runs]


MAIN_METRICS = (
    *("evaluation/score", "evaluation/return", "episode/return"),
    *("evaluation/reward", "reward/accuracy", "loss"),
)
"""What runs are compared by: normalised score, return, exploration return; for language models the judge's score, how
often the chosen completion is ahead, and at last the loss."""


def main_metric(tables: Sequence[pl.DataFrame]) -> str:
    """The metric that runs are compared by: the first of ``MAIN_METRICS`` that all have.

    Raises:
        UsageError: they share none of these.
    """
    shared = set.intersection(*(set(table["name"].unique()) for table in tables))
    for metric in MAIN_METRICS:
        if metric in shared:
            return metric
    names = sorted({name for table in tables for name in table["name"].unique()})
    raise UsageError(
        f"the runs share none of {', '.join(MAIN_METRICS)}; recorded are {', '.join(names[:8]) or 'no metrics'}"
    )


def read_curve(run: RunFolder, metric: str, axis: Axis = "environment_steps", label: str | None = None) -> Curve:
    """The learning curve of a recorded run.

    Raises:
        UsageError: no seed has recorded this metric; the nearest names are offered.
    """
    return curve_from_metrics(run.metrics(), metric, axis, label or run_labels([run])[0])


def curve_from_metrics(table: pl.DataFrame, metric: str, axis: Axis, label: str, points: int = POINTS) -> Curve:
    """The curve of one metric from a run's table (``RunFolder.metrics``).

    Of several values of a seed at one x the last counts, and values that are not finite are left out. Seeds evaluated
    at different x are interpolated, over the range that all of them reached, and at most ``points`` points are kept.
    Against time, seeds are matched by their steps and updates, and x is the mean time that they took to get there.

    Raises:
        UsageError: no seed has recorded this metric; the nearest names are offered.
    """
    values = table.filter((pl.col("name") == metric) & pl.col("value").is_finite())
    if not values.height:
        raise unknown("metric", metric, table["name"].unique().to_list())
    values = values.with_columns(progress=pl.col("updates") + pl.col("environment_steps"))
    by = "progress" if axis == "time" else axis
    seeds = [
        rows.unique(by, keep="last", maintain_order=True).sort(by)
        for _, rows in values.group_by("seed", maintain_order=True)
    ]
    shared = _shared_x([rows[by].to_numpy() for rows in seeds], points)
    x = np.mean([np.interp(shared, rows[by], rows[axis]) for rows in seeds], axis=0)
    on_shared = np.stack([np.interp(shared, rows[by], rows["value"]) for rows in seeds])
    increasing = np.append(np.diff(x) > 0, True)
    return Curve(label, x[increasing], on_shared[:, increasing], _spans(table, axis))


def final_values(table: pl.DataFrame, metric: str) -> dict[int, float]:
    """The last finite value of a metric for each seed that has one."""
    values = table.filter((pl.col("name") == metric) & pl.col("value").is_finite())
    return {int(seed): float(rows["value"][-1]) for (seed,), rows in values.group_by("seed", maintain_order=True)}


def _shared_x(axes: Sequence[np.ndarray], points: int) -> np.ndarray:
    start, end = max(x[0] for x in axes), min(x[-1] for x in axes)
    if start >= end:
        return np.array([np.mean([x[-1] for x in axes])])
    union = np.unique(np.concatenate([*axes, [start, end]]))
    shared = union[(union >= start) & (union <= end)]
    kept = np.unique(np.linspace(0, len(shared) - 1, min(len(shared), points)).round().astype(int))
    return shared[kept]


def _spans(table: pl.DataFrame, axis: Axis) -> tuple[Span, ...]:
    ends = table.group_by("phase", "seed", maintain_order=True).agg(pl.col(axis).max())
    spans, start = [], 0.0
    for phase in table["phase"].unique(maintain_order=True):
        end = float(np.mean(ends.filter(pl.col("phase") == phase)[axis].to_numpy()))
        spans.append(Span(phase, start, end))
        start = end
    return tuple(span for span in spans if span.end > span.start)
