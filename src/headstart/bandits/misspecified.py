"""Misspecified sparse linear bandits: rewards that a sparse linear function predicts up to a uniform error.

``rewards[a] = features[a] @ parameter + deviation[a]`` with ``|deviation| <= epsilon``, chosen by an adversary. A
learner asks for rewards of actions and wants one whose reward is nearly the best, in few queries (Dong and Yang 2023,
arXiv 2303.16998). NumPy: searches are adaptive and branchy, and each step is one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, UsageError

Features = Float[np.ndarray, "actions features"]
Query = Callable[[int], float]
"""Gives a reward of an action."""


class Found(NamedTuple):
    """What a search returns.

    Attributes:
        action: the action found.
        queries: how many rewards were asked for.
        certificate: the most that its mean reward can lie below the best one; inf where nothing is guaranteed.
    """

    action: int
    queries: int
    certificate: float


@dataclass(frozen=True)
class MisspecifiedLinearBandit:
    """Actions whose rewards are nearly linear in their features.

    Attributes:
        features: one row an action.
        parameter: weight of each feature.
        deviation: of each action's mean reward from the linear one.
        noise: standard deviation of normal noise that queries add.

    Raises:
        DataError: shapes that do not match, or values that are not finite.
        UsageError: negative noise.
    """

    features: Features
    parameter: Float[np.ndarray, " features"]
    deviation: Float[np.ndarray, " actions"]
    noise: float = 0.0

    def __post_init__(self) -> None:
        features = checked_features(self.features)
        parameter, deviation = np.asarray(self.parameter, np.float64), np.asarray(self.deviation, np.float64)
        if parameter.shape != features.shape[1:] or deviation.shape != features.shape[:1]:
            raise DataError(
                f"{len(features)} actions with {features.shape[1]} features need as many deviations and weights; given "
                f"{list(deviation.shape)} and {list(parameter.shape)}"
            )
        if not (np.isfinite(parameter).all() and np.isfinite(deviation).all()):
            raise DataError("parameter and deviation must be finite")
        if self.noise < 0:
            raise UsageError(f"noise must not be negative; given {self.noise}")
        for name, value in (("features", features), ("parameter", parameter), ("deviation", deviation)):
            object.__setattr__(self, name, value)

    @property
    def rewards(self) -> Float[np.ndarray, " actions"]:
        """Mean reward of each action."""
        return self.features @ self.parameter + self.deviation

    @property
    def epsilon(self) -> float:
        """The largest deviation."""
        return float(np.abs(self.deviation).max())

    def suboptimality(self, action: int) -> float:
        """How far the action's mean reward lies below the best one."""
        rewards = self.rewards
        return float(rewards.max() - rewards[action])

    def queries(self, generator: np.random.Generator | None = None) -> Query:
        """Answers a search's queries; noise needs a generator.

        Raises:
            UsageError: there is noise and no generator.
        """
        rewards = self.rewards
        if not self.noise:
            return lambda action: float(rewards[action])
        if generator is None:
            raise UsageError("queries with noise need a random generator")
        return lambda action: float(rewards[action] + self.noise * generator.normal())


def against_least_squares(
    features: ArrayLike,
    parameter: ArrayLike,
    epsilon: float,
    design: Int[np.ndarray, " queried"],
    generator: np.random.Generator,
) -> MisspecifiedLinearBandit:
    """Deviations that mislead least squares most.

    On the queried actions they push the prediction of one action up as far as they can; that action is the one for
    which least squares then chooses worst. Elsewhere they are +-epsilon at random.

    Args:
        features: one row an action.
        parameter: of the linear part.
        epsilon: size of all deviations.
        design: the actions that least squares will query.
        generator: of the other deviations.
    """
    features, parameter = checked_features(features), np.asarray(parameter, np.float64)
    linear = features @ parameter
    influence = np.linalg.pinv(features[design])  # how each queried reward moves the estimated weights
    pushes = epsilon * np.sign(influence.T @ features.T)  # for each action, what raises its prediction most
    chosen = np.argmax(features @ (parameter[:, None] + influence @ pushes), axis=0)
    victim = int(np.argmin(linear[chosen]))
    deviation = generator.choice([-epsilon, epsilon], len(features))
    deviation[design] = pushes[:, victim]
    return MisspecifiedLinearBandit(features, parameter, deviation)


def needle(
    sparsity: int, coherence: float, generator: np.random.Generator, dimension: int | None = None, gap: float = 1.0
) -> MisspecifiedLinearBandit:
    """One action pays ``gap`` and all others nothing, yet rewards are linear up to ``coherence * gap``.

    Actions are exp(sparsity coherence^2 / 4) random sign vectors of unit norm that pairwise nearly vanish in product
    (at most ``coherence``), so nothing but the needle itself gives away where it is: to come closer than ``gap``, half
    of the actions must be queried on average, exponentially many in the sparsity.

    Args:
        sparsity: features that matter.
        coherence: largest product of two actions' features, within (0, 1).
        generator: of the actions and of where the needle is.
        dimension: features in all, the others zero; as many as matter by default.
        gap: reward of the needle.

    Raises:
        UsageError: a coherence outside (0, 1), a sparsity below 1 or above the dimension, or no gap.
    """
    dimension = sparsity if dimension is None else dimension
    if not (0 < coherence < 1 and 1 <= sparsity <= dimension and gap > 0):
        raise UsageError(
            "a needle needs coherence within (0, 1), 1 <= sparsity <= dimension and a positive gap; given "
            f"{coherence}, {sparsity}, {dimension} and {gap}"
        )
    count = math.ceil(math.exp(sparsity * coherence**2 / 4))
    actions = np.zeros((0, sparsity))
    while len(actions) < count:
        new = generator.choice([-1.0, 1.0], sparsity) / math.sqrt(sparsity)
        if (np.abs(actions @ new) <= coherence + 1e-12).all():
            actions = np.vstack([actions, new])
    features = np.zeros((count, dimension))
    features[:, :sparsity] = actions
    hidden = generator.integers(count)
    parameter = gap * features[hidden]
    deviation = -features @ parameter
    deviation[hidden] = 0.0
    return MisspecifiedLinearBandit(features, parameter, deviation)


def checked_features(features: ArrayLike) -> Features:
    """Features as an array of float64.

    Raises:
        DataError: not a table of at least one action and feature, or values that are not finite; says which action.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or 0 in features.shape:
        raise DataError(f"features have the shape {list(features.shape)}; expected [actions, features], neither empty")
    if not np.isfinite(features).all():
        action = int(np.argmax(~np.isfinite(features).all(axis=1)))
        raise DataError(f"features of action {action} are not finite: {features[action]}")
    return features
