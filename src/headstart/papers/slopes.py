"""Growth rates: the slope of a curve on log-log axes, with its interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from headstart.core.errors import DataError
from headstart.evaluate.statistics import Interval, mean, stratified_bootstrap


def log_log_slope(x: ArrayLike, values: ArrayLike, floor: float = 0.0, n: int = 10_000) -> Interval:
    """Least-squares slope of log(mean over seeds) on log(x), seeds resampled for the 95 % interval.

    Args:
        x: ``[points]``, positive, at least two.
        values: ``[seeds, points]``; their means must be positive.
        floor: means below are taken for this.
        n: number of resamples.

    Raises:
        DataError: shapes that do not match, or a mean that has no logarithm.
    """
    x, values = np.log(np.asarray(x, np.float64)), np.asarray(values, np.float64)
    if x.ndim != 1 or len(x) < 2 or values.ndim != 2 or values.shape[1] != len(x):
        raise DataError(f"expected values [seeds, {x.size}] at two or more points; given {list(values.shape)}")
    if not (np.maximum(values.mean(0), floor) > 0).all():
        raise DataError(f"means {values.mean(0)} are not all positive, so they have no slope on log-log axes")
    centred = x - x.mean()

    def slope(scores: np.ndarray) -> np.ndarray:
        heights = np.log(np.maximum(mean(scores), floor or np.finfo(float).tiny))
        return heights @ centred / (centred @ centred)

    return stratified_bootstrap(values[:, None, :], slope, n)
