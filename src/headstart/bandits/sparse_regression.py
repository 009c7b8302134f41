"""Sparse regression on few queries: enough when the queried features are nearly orthogonal in small groups.

Queries s log d actions, not exponentially many in s, and finds an action of the order of s epsilon below the best if
small sets of features are well conditioned on them (Dong and Yang 2023, arXiv 2303.16998; no guarantee without that).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from headstart.bandits.misspecified import Found, Query, checked_features
from headstart.core.errors import UsageError


@dataclass(frozen=True)
class SparseRegressionSearch:
    """Query some actions, fit a sparse linear function, and take the action that it predicts best.

    Raises:
        UsageError: sparsity or queries below one, a negative epsilon, or an unknown method.
    """

    sparsity: int
    """Features that matter."""
    epsilon: float
    """Largest deviation of rewards from linear ones; the lasso's penalty."""
    method: Literal["omp", "lasso"] = "omp"
    """Orthogonal matching pursuit of ``sparsity`` features, or the lasso."""
    queries: int | None = None
    """How many random actions to query; None takes 8 sparsity log(features)."""

    def __post_init__(self) -> None:
        if self.sparsity < 1 or self.epsilon < 0 or (self.queries is not None and self.queries < 1):
            raise UsageError(
                "sparsity and queries must be 1 or more and epsilon not negative; given "
                f"{self.sparsity}, {self.queries} and {self.epsilon}"
            )
        if self.method not in ("omp", "lasso"):
            raise UsageError(f"method must be omp or lasso; given {self.method!r}")

    def search(
        self,
        features: ArrayLike,
        query: Query,
        generator: np.random.Generator | None = None,
        actions: Int[np.ndarray, " queried"] | None = None,
    ) -> Found:
        """Find an action; nothing is guaranteed unless the queried features are well conditioned (``coherence``).

        Args:
            features: ``[actions, features]``.
            query: gives rewards.
            generator: chooses the actions to query; by default always the same ones.
            actions: query these instead.
        """
        features = checked_features(features)
        if actions is None:
            generator = np.random.default_rng(0) if generator is None else generator
            wanted = math.ceil(8 * self.sparsity * math.log(max(features.shape[1], 2)))
            count = min(wanted if self.queries is None else self.queries, len(features))
            actions = generator.choice(len(features), count, replace=False)
        rewards = np.array([query(int(action)) for action in actions])
        queried = features[np.asarray(actions)]
        if self.method == "omp":
            parameter = matching_pursuit(queried, rewards, self.sparsity)
        else:
            parameter = lasso(queried, rewards, self.epsilon)
        return Found(int(np.argmax(features @ parameter)), len(queried), math.inf)


def matching_pursuit(
    design: Float[np.ndarray, "rows features"], rewards: Float[np.ndarray, " rows"], sparsity: int
) -> Float[np.ndarray, " features"]:
    """Weights of at most ``sparsity`` features, each the one most aligned with what the others leave unexplained."""
    norms = np.linalg.norm(design, axis=0)
    scaled = design / np.where(norms > 0, norms, np.inf)
    gram, target = scaled.T @ scaled, scaled.T @ rewards
    chosen: list[int] = []
    weights = np.zeros(0)
    for _ in range(min(sparsity, *design.shape)):
        left = np.abs(target - gram[:, chosen] @ weights)
        left[chosen] = 0.0
        if left.max() <= 1e-12:
            break
        chosen.append(int(np.argmax(left)))
        weights = np.linalg.lstsq(gram[np.ix_(chosen, chosen)], target[chosen])[0]
    parameter = np.zeros(design.shape[1])
    parameter[chosen] = weights / norms[chosen]
    return parameter


def lasso(
    design: Float[np.ndarray, "rows features"], rewards: Float[np.ndarray, " rows"], penalty: float, steps: int = 1000
) -> Float[np.ndarray, " features"]:
    """Minimiser of ``|rewards - design w|^2 / (2 rows) + penalty |w|_1``, by accelerated proximal gradient steps."""
    gram, target = design.T @ design / len(design), design.T @ rewards / len(design)
    size = 1.0 / max(float(np.linalg.eigvalsh(gram)[-1]), 1e-12)
    parameter = ahead = np.zeros(design.shape[1])
    momentum = 1.0
    for _ in range(steps):
        moved = ahead - size * (gram @ ahead - target)
        new = np.sign(moved) * np.maximum(np.abs(moved) - size * penalty, 0.0)
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - parameter)
        done = np.abs(new - parameter).max() <= 1e-10
        parameter, momentum = new, following
        if done:
            break
    return parameter


class Coherence(NamedTuple):
    """How well small sets of features can be told apart.

    Attributes:
        mutual: largest absolute cosine between two features.
        eigenvalue: least eigenvalue of the cosines among any ``2 sparsity`` features looked at; 0 means that two
            sparse functions exist that no query tells apart.
        good: whether that is at least 0.1, a rule of thumb: errors then grow tenfold at most.
    """

    mutual: float
    eigenvalue: float
    good: bool


def coherence(design: ArrayLike, sparsity: int, sets: int = 2000, seed: int = 0) -> Coherence:
    """Whether sparse regression can be trusted on these queries.

    Args:
        design: ``[queries, features]`` of the actions queried.
        sparsity: features that matter.
        sets: how many sets of features to look at; all, where there are no more.
        seed: chooses the sets.

    Raises:
        UsageError: a sparsity below one.
    """
    design = checked_features(design)
    if sparsity < 1:
        raise UsageError(f"sparsity must be 1 or more; given {sparsity}")
    norms = np.linalg.norm(design, axis=0)
    scaled = design / np.where(norms > 0, norms, 1.0)
    cosines = scaled.T @ scaled  # features that are always zero keep a zero on the diagonal
    dimension = len(cosines)
    size = min(2 * sparsity, dimension)
    if math.comb(dimension, size) <= sets:
        chosen = np.array(list(islice(combinations(range(dimension), size), sets)))
    else:
        generator = np.random.default_rng(seed)
        chosen = np.argsort(generator.random((sets, dimension)), axis=1)[:, :size]
    least = float(np.linalg.eigvalsh(cosines[chosen[:, :, None], chosen[:, None, :]])[:, 0].min())
    mutual = float(np.abs(cosines - np.diag(np.diag(cosines))).max())
    return Coherence(mutual, max(least, 0.0), least >= 0.1)
