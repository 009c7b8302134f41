"""How two measurements go together: linear, by rank, by rank given a third; with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from headstart.core.errors import DataError
from headstart.evaluate.statistics import Interval


def pearson(x: ArrayLike, y: ArrayLike) -> float:
    """Linear correlation of two samples ``[n]``.

    Raises:
        DataError: lengths differ, fewer than three values, values not finite, or a sample that is constant.
    """
    first, second = (sample - sample.mean() for sample in _columns(x, y))
    return float(np.clip(first @ second / np.sqrt((first @ first) * (second @ second)), -1.0, 1.0))


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Rank correlation of two samples ``[n]``: the linear correlation of their ranks, ties sharing their mean rank.

    Raises:
        DataError: as for ``pearson``.
    """
    return pearson(*(ranks(sample) for sample in _columns(x, y)))


def partial_rank_correlation(x: ArrayLike, y: ArrayLike, *given: ArrayLike) -> float:
    """Rank correlation of ``x`` and ``y`` with what the samples ``given`` explain taken out of both.

    All samples ``[n]`` are replaced by their ranks; the linear correlation is that of the residuals of ``x`` and ``y``
    after least squares on ``given`` and a constant.

    Raises:
        DataError: as for ``pearson``, or ``given`` explains one of them completely.
    """
    first, second, *others = (ranks(sample) for sample in _columns(x, y, *given))
    explaining = np.column_stack([np.ones(len(first)), *others])
    both = np.column_stack([first, second])
    residuals = both - explaining @ np.linalg.lstsq(explaining, both, rcond=None)[0]
    # Ranks are of order n, so residuals this small are rounding.
    if (np.abs(residuals).max(0) < 1e-9 * len(first)).any():
        raise DataError(
            "the given samples explain the ranks of one of the two completely; nothing is left to correlate"
        )
    return pearson(residuals[:, 0], residuals[:, 1])


def correlation_interval(
    correlation: Callable[..., float],
    *samples: ArrayLike,
    n: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of a correlation, observations resampled together.

    Resamples on which the correlation is undefined (a constant sample) are left out.

    Args:
        correlation: ``pearson``, ``spearman`` or ``partial_rank_correlation``.
        samples: its arguments, each ``[n]``.
        n: number of resamples.
        confidence: mass between the bounds.
        seed: of the resampling.

    Raises:
        DataError: the correlation of the samples themselves is undefined.
    """
    columns = np.stack(_columns(*samples))
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(n):
        chosen = columns[:, generator.integers(0, columns.shape[1], columns.shape[1])]
        try:
            values.append(correlation(*chosen))
        except DataError:
            continue
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(correlation(*columns), float(low), float(high))


def ranks(x: ArrayLike) -> Float[np.ndarray, " n"]:
    """Rank of each value of ``x`` ``[n]``, from 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(np.asarray(x), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _columns(*samples: ArrayLike) -> list[Float[np.ndarray, " n"]]:
    columns = [np.asarray(sample, np.float64) for sample in samples]
    shapes = [list(column.shape) for column in columns]
    if any(shape != shapes[0] or len(shape) != 1 or shape[0] < 3 for shape in shapes):
        raise DataError(f"samples have the shapes {shapes}; expected one axis of the same length, at least 3")
    for position, column in enumerate(columns):
        if not np.isfinite(column).all():
            raise DataError(
                f"sample {position + 1} has {np.count_nonzero(~np.isfinite(column))} values that are not finite"
            )
        if (column == column[0]).all():
            raise DataError(f"sample {position + 1} is constant, so its correlation is undefined")
    return columns
