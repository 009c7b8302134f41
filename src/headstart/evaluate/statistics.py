"""Aggregates over runs and tasks, with bootstrap intervals (Agarwal et al. 2021, "Deep RL at the edge of the
statistical precipice"; definitions as in its library rliable).

Scores are arrays ``[runs, tasks, ...]``: independent runs (seeds) of each task, and any trailing axes, such as the
points of a curve. A statistic reduces the first two axes and keeps the others. One-dimensional scores are runs of a
single task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from headstart.core.errors import DataError

Scores = Float[np.ndarray, "runs tasks ..."]
Statistic = Callable[..., Any]


class Interval(NamedTuple):
    """An estimate and its confidence bounds: numbers, or arrays of the statistic's shape."""

    estimate: Any
    low: Any
    high: Any


def mean(scores: ArrayLike) -> Any:
    """Mean over runs and tasks. Args and shapes as for ``interquartile_mean``."""
    return _as_scores(scores).mean((0, 1))


def interquartile_mean(scores: ArrayLike) -> Any:
    """Mean of the middle half of all runs of all tasks pooled; robust to a lucky or a broken run.

    Of ``n`` pooled scores ``floor(n / 4)`` are left out at either end, so with three or fewer it is the mean.

    Args:
        scores: ``[runs]`` or ``[runs, tasks, ...]``.

    Returns:
        The trailing axes of ``scores``; a scalar when there are none.

    Raises:
        DataError: there are no scores, or some are not finite.
    """
    scores = _as_scores(scores)
    pooled = np.sort(scores.reshape(-1, *scores.shape[2:]), axis=0)
    cut = len(pooled) // 4
    return pooled[cut : len(pooled) - cut].mean(0)


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> Float[np.ndarray, "... thresholds"]:
    """Fraction of the runs of all tasks whose score exceeds each threshold (strictly).

    Args:
        scores: ``[runs]`` or ``[runs, tasks, ...]``.
        thresholds: ``[thresholds]``, in the scores' units.
    """
    scores = _as_scores(scores)
    return np.stack([(scores > threshold).mean((0, 1)) for threshold in np.asarray(thresholds)], axis=-1)


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> Any:
    """Probability that a run of ``a`` beats one of ``b`` on the same task, ties counted half, averaged over tasks.

    Args:
        a: ``[runs]`` or ``[runs, tasks, ...]``.
        b: the same tasks and trailing axes, any number of runs.

    Raises:
        DataError: the tasks differ, or scores are missing or not finite.
    """
    a, b = _as_scores(a), _as_scores(b)
    if a.shape[1:] != b.shape[1:]:
        raise DataError(f"scores are of shapes {list(a.shape)} and {list(b.shape)}; only the first axis may differ")
    wins = [(run > b).mean((0, 1)) + 0.5 * (run == b).mean((0, 1)) for run in a]
    return np.mean(wins, axis=0)


def stratified_bootstrap(
    scores: ArrayLike | tuple[ArrayLike, ...],
    statistic: Statistic = interquartile_mean,
    n: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of a statistic, the runs of each task resampled on their own.

    Args:
        scores: ``[runs]`` or ``[runs, tasks, ...]``; or a tuple of such arrays, resampled independently of each other
            and given to the statistic as its arguments (as ``probability_of_improvement`` takes).
        statistic: reduces the first two axes of its arguments.
        n: number of resamples.
        confidence: mass between the bounds.
        seed: of the resampling.

    Returns:
        The statistic of the scores themselves, and its bounds. The bounds are not-a-number where an argument has a
        single run: nothing is known of its spread.

    Raises:
        DataError: there are no scores, or some are not finite.
    """
    arguments = [_as_scores(part) for part in (scores if isinstance(scores, tuple) else (scores,))]
    estimate = statistic(*arguments)
    if any(len(part) == 1 for part in arguments):
        unknown = np.full(np.shape(estimate), np.nan)[()]
        return Interval(estimate, unknown, unknown)
    generator = np.random.default_rng(seed)
    block = max(1, min(n, 2_000_000 // sum(part.size for part in arguments)))
    resampled = []
    for start in range(0, n, block):
        count = min(block, n - start)
        resampled.append(statistic(*(_resample(part, count, generator) for part in arguments)))
    low, high = np.quantile(np.concatenate(resampled), [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return Interval(estimate, low, high)


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, n: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of ``a - b`` with its bootstrap interval, the pairs resampled together.

    Args:
        a: ``[pairs]``, such as one score a seed; or ``[pairs, tasks]``, resampled within each task.
        b: the same shape, paired with ``a`` element by element.
        n: number of resamples.
        confidence: mass between the bounds.
        seed: of the resampling.

    Returns:
        Mean difference, lower bound, upper bound.

    Raises:
        DataError: the shapes differ, or values are missing or not finite.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise DataError(f"pairs need equal shapes; given {list(a.shape)} and {list(b.shape)}")
    estimate, low, high = stratified_bootstrap(a - b, mean, n, confidence, seed)
    return float(estimate), float(low), float(high)


def area_under_curve(x: ArrayLike, y: ArrayLike, average: bool = False) -> Any:
    """Area under a curve by the trapezoid rule.

    Args:
        x: ``[points]``, strictly increasing.
        y: ``[..., points]``.
        average: divide by the length of the x range, which gives the curve's mean height.

    Returns:
        The leading axes of ``y``; a scalar when there are none.

    Raises:
        DataError: fewer than two points, x not increasing, or lengths that differ.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or len(x) < 2 or y.shape[-1:] != x.shape or not np.all(np.diff(x) > 0):
        raise DataError(
            f"a curve needs at least two points with increasing x and one y for each; given x of shape {list(x.shape)} "
            f"and y of shape {list(y.shape)}"
        )
    return np.trapezoid(y, x, axis=-1) / (x[-1] - x[0] if average else 1.0)


def _resample(scores: Scores, count: int, generator: np.random.Generator) -> Float[np.ndarray, "runs tasks count ..."]:
    runs, tasks = scores.shape[:2]
    chosen = generator.integers(0, runs, (runs, tasks, count))
    return scores[chosen, np.arange(tasks)[None, :, None]]


def _as_scores(scores: ArrayLike) -> Scores:
    array = np.asarray(scores, np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim < 2 or array.size == 0:
        raise DataError(
            f"scores have the shape {list(np.shape(scores))}; expected [runs] or [runs, tasks, ...], not empty"
        )
    if not np.isfinite(array).all():
        raise DataError(
            f"{np.count_nonzero(~np.isfinite(array))} of {array.size} scores are not finite; leave them out"
        )
    return array
