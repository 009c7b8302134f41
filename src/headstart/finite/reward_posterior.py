"""What is known of rewards, as a normal distribution, and how much two draws from it disagree about a pair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from headstart.finite.preferences import Comparisons, Link, most_likely_rewards


@dataclass(frozen=True)
class RewardPosterior:
    """A normal distribution of rewards, one for each feature."""

    mean: Float[np.ndarray, " features"]
    root: Float[np.ndarray, "features features"]
    """``root @ root.T`` is the covariance."""

    @classmethod
    def of_precision(cls, mean: np.ndarray, precision: np.ndarray, scale: float = 1.0) -> RewardPosterior:
        """The distribution with covariance ``scale² precision⁻¹``."""
        return cls(mean, scale * np.linalg.inv(np.linalg.cholesky(precision)).T)

    def draw(self, generator: np.random.Generator) -> Float[np.ndarray, " features"]:
        """Rewards that might be the true ones."""
        return self.mean + self.root @ generator.standard_normal(len(self.mean))

    def disagreement(self, difference: Float[np.ndarray, "... features"]) -> Any:
        """Expected absolute difference between what two draws say about a pair.

        ``E |<a - b, x>|`` for independent ``a`` and ``b``, which is ``2 / sqrt(pi)`` times the standard deviation of
        ``<a, x>``.

        Args:
            difference: features of the pair's first trajectory minus those of its second.
        """
        return 2 / math.sqrt(math.pi) * np.linalg.norm(difference @ self.root, axis=-1)


def laplace(comparisons: Comparisons, link: Link, prior_precision: float, start: np.ndarray) -> RewardPosterior:
    """Laplace's approximation of the posterior, for a normal prior with mean 0: its mode, and its curvature there."""
    mode = most_likely_rewards(comparisons, link, prior_precision, start)
    x, answers = comparisons.differences, comparisons.answers
    margin = x @ mode
    information = answers * link.curvature(margin) + (1 - answers) * link.curvature(-margin)
    return RewardPosterior.of_precision(mode, (x.T * information) @ x + prior_precision * np.eye(len(mode)))
