"""LSVI-UCB: least-squares value iteration with an elliptical bonus, for worlds that are linear in known features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.finite.counting import check_constants, most_to_come
from headstart.finite.least_squares import LeastSquaresLearner, Regression
from headstart.finite.mdp import FiniteSpec
from headstart.finite.planning import greedy


class Knowledge(NamedTuple):
    """What was seen, and the plan made of it."""

    seen: Regression
    episode: Float[Array, ""]
    """Episodes begun."""
    action_values: Float[Array, "horizon states actions"]


@dataclass(frozen=True, eq=False)
class LSVIUCB(LeastSquaresLearner):
    """Least-squares value iteration with upper confidence bounds (Jin et al. 2020, algorithm 1).

    The bonus is ``beta sqrt(phi^T precision^-1 phi)`` with ``beta = scale d H sqrt(log(2 d H k / delta))`` in episode
    ``k``. Every step has a regression of its own.
    """

    scale: float = 0.01
    """Factor on the bonus. Theory asks for a constant above 1; the default suits small worlds."""
    confidence: float = 0.95
    """Probability with which the bounds hold together (at theory's scale), 1 - delta."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_constants(self.scale, self.confidence)

    def init(self, spec: FiniteSpec) -> Knowledge:
        """Nothing is known."""
        return Knowledge(self.nothing_seen(spec), jnp.zeros(()), most_to_come(spec))

    def begin(self, state: Knowledge, key: PRNGKeyArray) -> Knowledge:
        """Fit again, backwards."""
        horizon, states, _ = state.action_values.shape
        dimension, episode = state.seen.features.shape[-1], state.episode + 1
        log = jnp.log(2 * dimension * horizon * episode / (1 - self.confidence))
        beta = self.scale * dimension * horizon * jnp.sqrt(log)

        def one_step(values: Float[Array, " states"], step: Int[Array, ""]) -> tuple:
            prediction, width = state.seen.fit(step, values)
            action_values = jnp.clip(prediction + beta * width, 0, horizon - step)
            return action_values.max(-1), action_values

        _, action_values = jax.lax.scan(one_step, jnp.zeros(states), jnp.arange(horizon), reverse=True)
        return state._replace(episode=episode, action_values=action_values)

    def choose(
        self, state: Knowledge, step: Int[Array, ""], observation: Int[Array, ""], key: PRNGKeyArray
    ) -> Int[Array, ""]:
        """The action of the largest optimistic value; ties go to the lowest."""
        return state.action_values[step, observation].argmax()

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
        """Greedy for the optimistic values."""
        return greedy(state.action_values)
