"""Worlds whose transitions and rewards are linear in known features (linear and low-rank MDPs)."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, UsageError
from headstart.finite.mdp import FiniteMDP, Numbers, RewardNoise


class LinearMDP(FiniteMDP):
    """A world with ``P(s' | s, a) = features(s, a) . measure(s')`` and mean reward ``features(s, a) . weights``.

    Jin et al. 2020, "Provably efficient reinforcement learning with linear function approximation", assumption A. It is
    a ``FiniteMDP``, so everything that plans, plays or measures works with it.
    """

    features: Float[Numbers, "states actions dimension"] = eqx.field(kw_only=True)

    @classmethod
    def from_features(
        cls,
        features: ArrayLike,
        measure: ArrayLike,
        weights: ArrayLike,
        horizon: int,
        initial: ArrayLike | None = None,
        reward_noise: RewardNoise = "none",
    ) -> LinearMDP:
        """A stationary linear world.

        Args:
            features: ``[states, actions, dimension]``; norms of at most 1 are assumed by theory.
            measure: ``[dimension, next]``.
            weights: of the reward, ``[dimension]``.
            horizon: steps of an episode.
            initial: probabilities ``[states]`` of the start; state 0 when None.
            reward_noise: ``none`` or ``bernoulli``.

        Raises:
            DataError: shapes disagree, or the products are not probabilities or not rewards in [0, 1].
            UsageError: as for ``FiniteMDP.of``.
        """
        features, measure, weights = (np.asarray(part, np.float64) for part in (features, measure, weights))
        if (
            features.ndim != 3
            or measure.shape != (features.shape[2], len(features))
            or weights.shape != measure.shape[:1]
        ):
            raise DataError(
                f"features {list(features.shape)}, measure {list(measure.shape)} and weights {list(weights.shape)} do "
                "not fit; expected [states, actions, dimension], [dimension, states] and [dimension]"
            )
        world = FiniteMDP.of(features @ measure, features @ weights, horizon, initial, reward_noise)
        check_norms(features)
        return cls(world.transition, world.reward, world.initial, horizon, reward_noise, features=features)


def random_linear_world(
    states: int = 20,
    actions: int = 5,
    dimension: int = 4,
    horizon: int = 10,
    seed: int = 0,
    reward_noise: RewardNoise = "bernoulli",
) -> LinearMDP:
    """A random low-rank world: every state and action is a mixture of ``dimension`` hidden causes.

    Features are rows of a Dirichlet(0.3) distribution (so their norm is at most 1), the causes' next states of
    Dirichlet(0.3), the causes' rewards uniform.
    """
    if not 1 <= dimension <= states * actions:
        raise UsageError(f"dimension is {dimension}; expected 1 to states * actions, {states * actions}")
    random = np.random.default_rng(seed)
    features = random.dirichlet(np.full(dimension, 0.3), (states, actions))
    measure = random.dirichlet(np.full(states, 0.3), dimension)
    weights = random.random(dimension)
    return LinearMDP.from_features(features, measure, weights, horizon, reward_noise=reward_noise)


def one_hot_features(states: int, actions: int) -> Float[np.ndarray, "states actions dimension"]:
    """The features in which every world is linear: one dimension for each state and action."""
    return np.eye(states * actions).reshape(states, actions, -1)


class Misfit(NamedTuple):
    """How far a world is from linear in some features: the largest errors of the best fit in least squares."""

    transition: float
    """Total variation distance."""
    reward: float
    rank: int
    """Of the features; below the dimension, some directions are never seen."""


def misfit(world: FiniteMDP, features: Float[Numbers, "states actions dimension"]) -> Misfit:
    """How well features explain a world, at its worst step, state and action."""
    design = np.asarray(features, np.float64).reshape(world.states * world.actions, -1)
    errors, rank = [], 0
    for transition, reward in zip(np.asarray(world.transition), np.asarray(world.reward)):
        targets = np.concatenate([transition.reshape(len(design), -1), reward.reshape(-1, 1)], axis=1)
        solution, _, rank, _ = np.linalg.lstsq(design, targets, rcond=None)
        gaps = np.abs(design @ solution - targets)
        errors.append((gaps[:, :-1].sum(1).max() / 2, gaps[:, -1].max()))
    largest = np.max(errors, axis=0)
    return Misfit(float(largest[0]), float(largest[1]), int(rank))


def check_norms(features: Float[Numbers, "states actions dimension"]) -> None:
    """Warn if features are longer than theory assumes."""
    longest = float(np.linalg.norm(np.asarray(features), axis=-1).max())
    if longest > 1 + 1e-6:
        warnings.warn(
            f"the longest feature has norm {longest:.4g}; regret and confidence bounds of linear learners assume at "
            "most 1 (the elliptical potential's log(1 + T / dimension)) and do not hold as stated: divide by the norm",
            stacklevel=3,
        )
