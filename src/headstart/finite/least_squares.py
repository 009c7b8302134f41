"""Least-squares value iteration on features: the regression that linear learners share, online and on recorded data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from headstart.core.errors import UsageError
from headstart.finite.features import checked_features
from headstart.finite.linear import one_hot_features
from headstart.finite.mdp import FiniteSpec, Numbers
from headstart.finite.simulation import Learner


class Regression(NamedTuple):
    """Sums over the transitions of each step, from which any target that depends on the next state can be fitted."""

    features: Float[Array, "states actions dimension"]
    precision: Float[Array, "horizon dimension dimension"]
    """Ridge times the identity, plus the sum of the features' outer products."""
    transitions: Float[Array, "horizon dimension next"]
    """Sum of the features over the transitions to each next state."""
    rewards: Float[Array, "horizon dimension"]
    """Sum of the features times the reward."""

    def fit(
        self, step: Int[Array, ""], values: Float[Array, " states"]
    ) -> tuple[Float[Array, "states actions"], Float[Array, "states actions"]]:
        """Ridge regression of reward plus next value at a step.

        Returns:
            the prediction for each state and action, and its width ``sqrt(phi^T precision^-1 phi)``.
        """
        factor = jnp.linalg.cholesky(self.precision[step])
        targets = self.rewards[step] + self.transitions[step] @ values
        weights = jax.scipy.linalg.cho_solve((factor, True), targets)
        flat = self.features.reshape(-1, self.features.shape[-1])
        whitened = jax.scipy.linalg.solve_triangular(factor, flat.T, lower=True)
        shape = self.features.shape[:2]
        return (flat @ weights).reshape(shape), jnp.linalg.norm(whitened, axis=0).reshape(shape)

    def add(
        self,
        step: Int[Array, ""],
        state: Int[Array, ""],
        action: Int[Array, ""],
        reward: Float[Array, ""],
        following: Int[Array, ""],
    ) -> Regression:
        """With one more transition."""
        feature = self.features[state, action]
        return self._replace(
            precision=self.precision.at[step].add(jnp.outer(feature, feature)),
            transitions=self.transitions.at[step, :, following].add(feature),
            rewards=self.rewards.at[step].add(feature * reward),
        )


@dataclass(frozen=True, eq=False)
class LeastSquaresLearner(Learner):
    """What learners by least squares have in common: features, a ridge, and the sums of a regression."""

    features: Float[Numbers, "states actions dimension"] | None = None
    """In which the world is believed to be linear, such as ``LinearMDP.features``; theory assumes norms of at most 1.
    None: one dimension for each state and action, in which every world is."""
    ridge: float = 1.0
    """Multiple of the identity that is added to the design, so that it has full rank before anything is seen; 1 in
    Jin et al. 2020."""

    def __post_init__(self) -> None:
        if not self.ridge > 0:
            raise UsageError(f"ridge is {self.ridge}; without one above 0 the design has no full rank at the start")
        if self.features is not None:
            checked_features(self.features)

    def nothing_seen(self, spec: FiniteSpec) -> Regression:
        """The regression before the first step.

        Raises:
            UsageError: the features are not of the world's states and actions.
        """
        features = one_hot_features(spec.states, spec.actions) if self.features is None else self.features
        if features.shape[:2] != (spec.states, spec.actions):
            raise UsageError(
                f"features are of {features.shape[0]} states and {features.shape[1]} actions, the world has "
                f"{spec.states} and {spec.actions}"
            )
        dimension = features.shape[-1]
        return Regression(
            jnp.asarray(features, jnp.float32),
            jnp.broadcast_to(self.ridge * jnp.eye(dimension), (spec.horizon, dimension, dimension)),
            jnp.zeros((spec.horizon, dimension, spec.states)),
            jnp.zeros((spec.horizon, dimension)),
        )
