"""Which actions to query for least squares: G-optimal design, and the search that uses it.

A design spreads queries over actions so that the least certain prediction is as certain as can be; by Kiefer and
Wolfowitz (1960) its largest variance is the number of features. Least squares on it finds an action at most about
2 (1 + sqrt features) epsilon below the best when rewards are linear up to epsilon (Lattimore, Szepesvari and Weisz
2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy.linalg import qr

from headstart.bandits.misspecified import Features, Found, Query, checked_features
from headstart.core.errors import DataError, UsageError


class Design(NamedTuple):
    """Shares of queries.

    Attributes:
        weights: of each action; they sum to one.
        variance: largest ``x' V^-1 x`` of an action's features x, V the weighted sum of ``x x'``.
    """

    weights: Float[np.ndarray, " actions"]
    variance: float

    @property
    def support(self) -> Int[np.ndarray, " queried"]:
        """Actions with a share."""
        return np.flatnonzero(self.weights)


def optimal_design(features: ArrayLike, tolerance: float = 1.0, steps: int = 100_000) -> Design:
    """A nearly G-optimal design by Fedorov's and Wynn's exchange: more weight to the least certain action.

    Args:
        features: ``[actions, features]`` that span all features.
        tolerance: stop when the largest variance is at most (1 + tolerance) times the number of features. At 1 the
            support stays of the order of that number, up to a double logarithm (Todd 2016).
        steps: the most exchanges.

    Raises:
        DataError: the features do not span their space; says how many dimensions they do span.
        UsageError: a tolerance that is not positive.
    """
    features = checked_features(features)
    if tolerance <= 0:
        raise UsageError(f"tolerance must be positive; given {tolerance}")
    size = features.shape[1]
    rank = np.linalg.matrix_rank(features)
    if rank < size:
        raise DataError(
            f"{len(features)} actions span {rank} of {size} features, so no design tells all weights apart; leave "
            "features out, or project onto the span"
        )
    weights = np.zeros(len(features))
    weights[np.asarray(qr(features.T, mode="r", pivoting=True)[-1])[:size]] = 1.0 / size
    inverse = np.linalg.inv((features.T * weights) @ features)
    variances = np.einsum("ai,ij,aj->a", features, inverse, features)
    for _ in range(steps):
        worst = int(np.argmax(variances))
        if variances[worst] <= (1 + tolerance) * size:
            break
        share = (variances[worst] / size - 1) / (variances[worst] - 1)
        direction = inverse @ features[worst]
        scale = share / (1 - share + share * variances[worst])
        variances = (variances - scale * (features @ direction) ** 2) / (1 - share)
        inverse = (inverse - scale * np.outer(direction, direction)) / (1 - share)
        weights *= 1 - share
        weights[worst] += share
    return Design(weights, float(variances.max()))


@dataclass(frozen=True)
class LeastSquaresSearch:
    """Query a design, fit all weights by least squares, and take the action predicted best.

    Raises:
        UsageError: a negative epsilon.
    """

    epsilon: float
    """Largest deviation of rewards from linear ones; only the certificate needs it."""
    tolerance: float = 1.0
    """Of the design (``optimal_design``)."""

    def __post_init__(self) -> None:
        if self.epsilon < 0:
            raise UsageError(f"epsilon must not be negative; given {self.epsilon}")

    def search(self, features: ArrayLike, query: Query, actions: Int[np.ndarray, " queried"] | None = None) -> Found:
        """Find an action.

        Args:
            features: ``[actions, features]``.
            query: gives rewards, free of noise.
            actions: query these, all with equal weight, in place of a G-optimal design. Where they do not span the
                features, the fit of least norm is taken, and nothing is guaranteed.

        Raises:
            DataError: the features do not span their space and no actions are given.
        """
        features = checked_features(features)
        if actions is None:
            design = optimal_design(features, self.tolerance)
            actions, variance = design.support, design.variance
            weights = np.sqrt(design.weights[actions])
        else:
            actions = np.asarray(actions)
            weights, variance = np.full(len(actions), len(actions) ** -0.5), largest_variance(features, actions)
        rewards = np.array([query(int(action)) for action in actions])
        parameter = np.linalg.lstsq(features[actions] * weights[:, None], rewards * weights)[0]
        action = int(np.argmax(features @ parameter))
        return Found(action, len(actions), 2 * self.epsilon * (1 + np.sqrt(variance)))


def largest_variance(features: Features, actions: Int[np.ndarray, " queried"]) -> float:
    """Largest ``x' V^-1 x`` when the given actions have equal weights; inf where they do not span the features."""
    queried = features[actions]
    if np.linalg.matrix_rank(queried) < features.shape[1]:
        return np.inf
    inverse = np.linalg.inv(queried.T @ queried / len(queried))
    return float(np.einsum("ai,ij,aj->a", features, inverse, features).max())
