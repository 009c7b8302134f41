"""Fitted Q-iteration in linear features: from recorded episodes, and online with random exploration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.core.errors import DataError, UsageError
from headstart.finite.episodes import Episodes, check_episodes
from headstart.finite.features import checked_features
from headstart.finite.least_squares import LeastSquaresLearner, Regression
from headstart.finite.linear import one_hot_features
from headstart.finite.mdp import FiniteSpec, Numbers
from headstart.finite.planning import Solution, greedy


def fitted_q(
    data: Episodes,
    spec: FiniteSpec,
    features: Float[Numbers, "states actions dimension"] | None = None,
    ridge: float = 1e-6,
) -> Solution:
    """Regress reward plus the best next value on features, from the last step back (Ernst et al. 2005; float64).

    What the data never show is predicted as 0, a pessimism that hides in the ridge. The values are the regression's,
    not the world's.

    Args:
        data: whole episodes.
        spec: of the world they come from.
        features: ``[states, actions, dimension]``; one dimension for each state and action when None.
        ridge: multiple of the identity added to the design; 0 asks for a design of full rank.

    Raises:
        DataError: the episodes do not fit the world; or the ridge is 0 and the design of a step lacks full rank.
        UsageError: a negative ridge, or features that are not finite or not of the world.
    """
    check_episodes(data, spec)
    if not ridge >= 0:
        raise UsageError(f"ridge is {ridge}; expected at least 0")
    if features is None:
        features = one_hot_features(spec.states, spec.actions)
    features = checked_features(features, (spec.states, spec.actions))
    dimension = features.shape[-1]
    values, action_values = [np.zeros(spec.states)], []
    for step in reversed(range(spec.horizon)):
        design = features[data.observations[:, step], data.actions[:, step]]
        rank = dimension if ridge > 0 else np.linalg.matrix_rank(design)
        if rank < dimension:
            raise DataError(
                f"the design of step {step} has rank {rank} of {dimension}: the data leave directions of the features "
                "unseen; give a ridge above 0, fewer features or more data"
            )
        targets = data.rewards[:, step] + values[0][data.next_observations[:, step]]
        weights = np.linalg.solve(design.T @ design + ridge * np.eye(dimension), design.T @ targets)
        action_values.insert(0, np.clip(features @ weights, 0, spec.horizon - step))
        values.insert(0, action_values[0].max(-1))
    quality = np.stack(action_values)
    return Solution(np.stack(values), quality, greedy(quality))


class Knowledge(NamedTuple):
    """What was seen, and the values fitted to it."""

    seen: Regression
    action_values: Float[Array, "horizon states actions"]


@dataclass(frozen=True, eq=False)
class FittedQ(LeastSquaresLearner):
    """Fits again before every episode, and explores by acting at random now and then: the baseline without a bonus."""

    exploration: float = 0.1
    """Probability of a uniform random action."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.exploration <= 1:
            raise UsageError(f"exploration is {self.exploration}; expected a probability in [0, 1]")

    def init(self, spec: FiniteSpec) -> Knowledge:
        """Nothing is known: every action is worth 0."""
        return Knowledge(self.nothing_seen(spec), jnp.zeros((spec.horizon, spec.states, spec.actions)))

    def begin(self, state: Knowledge, key: PRNGKeyArray) -> Knowledge:
        """Fit again, backwards."""
        horizon, states, _ = state.action_values.shape

        def one_step(values: Float[Array, " states"], step: Int[Array, ""]) -> tuple:
            action_values = jnp.clip(state.seen.fit(step, values)[0], 0, horizon - step)
            return action_values.max(-1), action_values

        _, action_values = jax.lax.scan(one_step, jnp.zeros(states), jnp.arange(horizon), reverse=True)
        return state._replace(action_values=action_values)

    def choose(
        self, state: Knowledge, step: Int[Array, ""], observation: Int[Array, ""], key: PRNGKeyArray
    ) -> Int[Array, ""]:
        """Draw from the policy."""
        return jax.random.categorical(key, jnp.log(self.policy(state)[step, observation]))

    def observe(
        self,
        state: Knowledge,
        step: Int[Array, ""],
        observation: Int[Array, ""],
        action: Int[Array, ""],
        reward: Float[Array, ""],
        next_observation: Int[Array, ""],
    ) -> Knowledge:
        """Add the transition to its step's regression."""
        return state._replace(seen=state.seen.add(step, observation, action, reward, next_observation))

    def policy(self, state: Knowledge) -> Float[Array, "horizon states actions"]:
        """Greedy for the fitted values, mixed with the uniform policy."""
        actions = state.action_values.shape[-1]
        return (1 - self.exploration) * greedy(state.action_values) + self.exploration / actions
