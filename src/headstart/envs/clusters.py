"""Exact k-means of numbers, by which snapshots are sorted into stages of a task."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import UsageError


def value_clusters(values: Float[np.ndarray, " snapshot"], clusters: int) -> Int[np.ndarray, " snapshot"]:
    """The best partition of numbers into at most ``clusters`` groups by squared error (exact 1-D k-means).

    Groups are numbered from the lowest values up; equal values share one, so there may be fewer than asked for.

    Raises:
        UsageError: there are fewer values than clusters, or clusters is not positive.
    """
    if not 1 <= clusters <= len(values):
        raise UsageError(f"clusters={clusters} for {len(values)} snapshots; expected from 1 to their number")
    points, members, weights = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    points = points - points.mean()
    clusters, size = min(clusters, len(points)), len(points)
    weight, first, second = (np.concatenate([[0.0], np.cumsum(weights * points**power)]) for power in range(3))
    # cost[i] is the least error of the first i points; cuts[k, i] is where the last of k + 1 groups begins.
    ends = np.arange(size + 1)
    cost = second - first**2 / np.maximum(weight, 1)
    cuts = np.zeros((clusters, size + 1), np.int64)
    for group in range(1, clusters):
        better = np.full(size + 1, np.inf)
        for end in range(group + 1, size + 1):
            starts = ends[group:end]
            mass, total = weight[end] - weight[starts], first[end] - first[starts]
            errors = cost[starts] + second[end] - second[starts] - total**2 / mass
            best = int(np.argmin(errors))
            better[end], cuts[group, end] = errors[best], starts[best]
        cost = better
    labels, end = np.zeros(size, np.int64), size
    for group in reversed(range(clusters)):
        start = cuts[group, end]
        labels[start:end], end = group, start
    return labels[members.reshape(-1)]
