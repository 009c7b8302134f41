"""What tables and aggregates of made-up runs should be, one value at a time in plain NumPy; how far ours are off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float

from headstart.evaluate.statistics import (
    interquartile_mean,
    mean,
    performance_profile,
    probability_of_improvement,
    stratified_bootstrap,
)
from headstart.papers.made_up_runs import ENTRIES, METRIC, SEEDS, WORLDS, facts, header
from headstart.report import comparison
from headstart.report.selection import Filters, select

LAST = 10
"""Logged values whose mean is a run's final score."""
MEANS, DEVIATIONS = np.array([0.2, 0.5, 0.9, 0.4]), np.array([0.1, 0.2, 0.1, 0.3])
"""Of the scores of the studies that are simulated for coverage, by task."""
RUNS_OF_STUDIES = (5, 10, 20)
Scores = Float[np.ndarray, "seeds worlds"]


def deviations(folder: Path, curves: dict[int, np.ndarray], resamples: int) -> dict[str, float]:
    """Largest deviations of tables and aggregates from their references, and of interval bounds from theirs.

    Args:
        folder: the store.
        curves: what was logged there, by run.
        resamples: of each bootstrap.

    Returns:
        ``exact`` (relative for the table, absolute for normalised scores), ``bounds`` (of normalised scores), and how
        many numbers were ``compared``.
    """
    arms = []
    for library, name in ENTRIES:
        encoded = name.replace("&", "%26")
        filters = Filters.parse([header(library, METRIC), f"{encoded}?cl={library} {encoded}"])
        arms += select([folder], filters)
    found, scaled = (comparison.compare(arms, METRIC, kind, LAST) for kind in ("none", "maxmin"))
    finals, units = reference_finals(curves)
    exact = list(_table_errors(found, finals))
    ours, bounds = [scaled.matrix(label) for label in scaled.labels], []
    thresholds = np.linspace(0, 1, 21)
    statistics: tuple[tuple[Callable[..., Any], Callable[[Scores], float]], ...] = (
        (interquartile_mean, lambda scores: float(scipy.stats.trim_mean(scores.ravel(), 0.25))),
        (mean, lambda scores: sum(scores.ravel().tolist()) / scores.size),
        (lambda scores: np.median(scores.mean(0), axis=0), _plain_median),
    )
    for scores, reference in zip(ours, units, strict=True):
        above = [sum(value > threshold for value in reference.ravel()) / reference.size for threshold in thresholds]
        exact += [np.abs(scores - reference).max(), np.abs(performance_profile(scores, thresholds) - above).max()]
        for statistic, plain in statistics:
            estimate, low, high = stratified_bootstrap(scores, statistic, n=resamples)
            exact.append(abs(estimate - plain(reference)))
            bounds.append(np.abs(np.subtract((low, high), reference_interval(reference, plain, resamples))).max())
    for index in range(len(ours) - 1):
        expected = plain_improvement(units[index], units[index + 1])
        exact.append(abs(probability_of_improvement(ours[index], ours[index + 1]) - expected))
    return {"exact": float(max(exact)), "bounds": float(max(bounds)), "compared": len(exact) + 2 * len(bounds)}


def _table_errors(found: comparison.Comparison, finals: list[Scores]) -> Iterator[float]:
    for row, scores in zip(comparison.table(found), finals, strict=True):
        for task, world in enumerate(WORLDS):
            average = sum(scores[:, task].tolist()) / SEEDS
            deviation = (sum((value - average) ** 2 for value in scores[:, task].tolist()) / SEEDS) ** 0.5
            yield from (abs(float(row[world]) / average - 1), abs(float(row[f"{world} std"]) / deviation - 1))


def reference_finals(curves: dict[int, np.ndarray]) -> tuple[list[Scores], list[Scores]]:
    """Final scores of each entry, as they are and between the extremes of each world."""
    finals, units = [], []
    for entry in ENTRIES:
        score, unit = np.zeros((2, SEEDS, len(WORLDS)))
        for run in facts():
            if (run.library, run.name) == entry:
                rivals = np.concatenate([curves[other.number] for other in facts() if other.world == run.world])
                place, last = (run.seed, WORLDS.index(run.world)), curves[run.number][-LAST:].tolist()
                score[place] = sum(last) / LAST
                unit[place] = sum((value - min(rivals)) / (max(rivals) - min(rivals)) for value in last) / LAST
        finals.append(score)
        units.append(unit)
    return finals, units


def reference_interval(scores: Scores, plain: Callable[[Scores], float], resamples: int) -> tuple[float, float]:
    """95 % percentile interval: the seeds of each world drawn on their own, with another generator than ours."""
    generator = np.random.RandomState(1)
    found = [plain(np.stack([generator.choice(column, SEEDS) for column in scores.T], 1)) for _ in range(resamples)]
    return float(np.percentile(found, 2.5)), float(np.percentile(found, 97.5))


def plain_improvement(a: Scores, b: Scores) -> float:
    """Probability of improvement, pair by pair."""
    wins = [(x > y) + 0.5 * (x == y) for task in range(len(WORLDS)) for x in a[:, task] for y in b[:, task]]
    return float(sum(wins)) / len(wins)


def _plain_median(scores: Scores) -> float:
    averages = sorted(sum(column.tolist()) / SEEDS for column in scores.T)
    return (averages[1] + averages[2]) / 2


def trimmed(scores: np.ndarray) -> float:
    """Mean of the middle half of all scores."""
    pooled = np.sort(scores, axis=None)
    return float(pooled[len(pooled) // 4 : len(pooled) - len(pooled) // 4].mean())


def coverage(generator: np.random.Generator, studies: int) -> dict[str, Any]:
    """In how many simulated studies the 95 % interval of the interquartile mean holds the true one, by their runs."""
    middles = (np.arange(20_000) + 0.5) / 20_000
    truth = trimmed(scipy.stats.norm.ppf(middles[:, None], MEANS, DEVIATIONS))
    covered = {}
    for runs in RUNS_OF_STUDIES:
        drawn = (generator.normal(MEANS, DEVIATIONS, (runs, len(MEANS))) for _ in range(studies))
        intervals = [stratified_bootstrap(scores, n=1000, seed=study) for study, scores in enumerate(drawn)]
        covered[str(runs)] = sum(bool(interval.low <= truth <= interval.high) for interval in intervals)
    return {"studies": studies, "covered": covered}
