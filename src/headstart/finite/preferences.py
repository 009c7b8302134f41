"""Which of two trajectories is better: how annotators answer, and the rewards that their answers make most likely.

The first of two trajectories is preferred with probability ``link(difference of their returns)``. With returns linear
in features, ``<rewards, features>``, the most likely rewards are those of a regression of answers on differences of
features, without intercept. Rewards are known only up to what all trajectories have in common.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, DivergenceError, UsageError


@dataclass(frozen=True)
class Link(abc.ABC):
    """From a difference of returns to the probability that the first is preferred. All methods work elementwise."""

    scale: float = 1.0
    """How decided annotators are: differences are multiplied by it."""

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise UsageError(f"the link's scale is {self.scale}; larger returns are preferred only if it is above 0")
        points = np.linspace(0, 10, 41)
        if not np.allclose(self.probability(points) + self.probability(-points), 1):
            raise UsageError(
                f"{type(self).__name__} gives a pair and the same pair turned round probabilities that do not sum to "
                "one; a link needs probability(x) + probability(-x) = 1"
            )

    @abc.abstractmethod
    def probability(self, difference: Any) -> Any:
        """Of preferring the first."""

    @abc.abstractmethod
    def log_probability(self, difference: Any) -> Any:
        """Its logarithm, accurate where the probability is tiny."""

    @abc.abstractmethod
    def slope(self, difference: Any) -> Any:
        """First derivative of ``log_probability``."""

    @abc.abstractmethod
    def curvature(self, difference: Any) -> Any:
        """Second derivative of ``log_probability`` with its sign changed: how much an answer there tells; >= 0."""


@dataclass(frozen=True)
class Logistic(Link):
    """The model of Bradley and Terry: ``1 / (1 + exp(-scale difference))``."""

    def probability(self, difference: Any) -> Any:
        """Of preferring the first."""
        return np.exp(self.log_probability(difference))

    def log_probability(self, difference: Any) -> Any:
        """Its logarithm."""
        return -np.logaddexp(0, -self.scale * np.asarray(difference))

    def slope(self, difference: Any) -> Any:
        """First derivative of ``log_probability``."""
        return self.scale * self.probability(-np.asarray(difference))

    def curvature(self, difference: Any) -> Any:
        """Second derivative of ``log_probability`` with its sign changed."""
        return self.scale**2 * self.probability(difference) * self.probability(-np.asarray(difference))


@dataclass(frozen=True)
class Probit(Link):
    """The model of Thurstone: the normal distribution function of ``scale difference``."""

    def probability(self, difference: Any) -> Any:
        """Of preferring the first."""
        return np.exp(self.log_probability(difference))

    def log_probability(self, difference: Any) -> Any:
        """Its logarithm."""
        from scipy.special import log_ndtr

        return log_ndtr(self.scale * np.asarray(difference))

    def slope(self, difference: Any) -> Any:
        """First derivative of ``log_probability``."""
        scaled = self.scale * np.asarray(difference)
        return self.scale * np.exp(-(scaled**2) / 2 - self.log_probability(difference)) / np.sqrt(2 * np.pi)

    def curvature(self, difference: Any) -> Any:
        """Second derivative of ``log_probability`` with its sign changed."""
        slope = self.slope(difference)
        return slope * (slope + self.scale**2 * np.asarray(difference))


@dataclass(frozen=True)
class Comparisons:
    """Pairs of trajectories that were answered."""

    differences: Float[np.ndarray, "pairs features"]
    """Features of the first trajectory minus those of the second."""
    answers: Float[np.ndarray, " pairs"]
    """1: the first is preferred, 0: the second is; between them: a soft answer."""

    @classmethod
    def none(cls, features: int) -> Comparisons:
        """No pairs yet."""
        return cls(np.zeros((0, features)), np.zeros(0))

    def __len__(self) -> int:
        return len(self.answers)

    def add(self, difference: Float[np.ndarray, " features"], answer: float) -> Comparisons:
        """One pair more.

        Raises:
            DataError: the answer is outside [0, 1].
        """
        if not 0 <= answer <= 1:
            raise DataError(f"an answer is {answer}; expected 1 (the first is preferred), 0 (the second), or between")
        return Comparisons(np.vstack([self.differences, difference]), np.append(self.answers, answer))


def most_likely_rewards(
    comparisons: Comparisons, link: Link, ridge: float, start: ArrayLike | None = None, tolerance: float = 1e-8
) -> Float[np.ndarray, " features"]:
    """Rewards that maximise the likelihood of the answers minus ``ridge / 2`` times their squared length.

    By Newton's method, each step halved until the objective falls: undamped, it diverges where answers are few.

    Args:
        comparisons: pairs and answers; none give rewards of zero.
        link: how annotators answer.
        ridge: weight of the penalty, above 0.
        start: where to search from, such as the solution for fewer answers.
        tolerance: largest entry of the gradient at which the search ends.

    Raises:
        UsageError: the penalty is not positive.
        DivergenceError: features are not finite.
    """
    if not ridge > 0:
        raise UsageError(f"ridge is {ridge}; without a penalty above 0 few answers have no most likely rewards")
    x, answers = comparisons.differences, comparisons.answers
    rewards = np.zeros(x.shape[1]) if start is None else np.asarray(start, np.float64)

    def loss(rewards: np.ndarray) -> float:
        margin = x @ rewards
        likelihood = answers @ link.log_probability(margin) + (1 - answers) @ link.log_probability(-margin)
        return float(ridge / 2 * rewards @ rewards - likelihood)

    current = loss(rewards)
    if not np.isfinite(current):
        raise DivergenceError("the likelihood of the answers is not a number; check the features of trajectories")
    for _ in range(100):
        margin = x @ rewards
        gradient = ridge * rewards - x.T @ (answers * link.slope(margin) - (1 - answers) * link.slope(-margin))
        if np.abs(gradient).max() <= tolerance:
            break
        information = answers * link.curvature(margin) + (1 - answers) * link.curvature(-margin)
        step = np.linalg.solve((x.T * information) @ x + ridge * np.eye(len(rewards)), gradient)
        length = 1.0
        while loss(rewards - length * step) > current and length > 1e-8:
            length /= 2
        rewards = rewards - length * step
        current = loss(rewards)
    return rewards
