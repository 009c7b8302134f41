"""Q-learning with a bonus: no model, one table, the regret of a model-based learner up to powers of the horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.finite.counting import check_constants, most_to_come
from headstart.finite.mdp import FiniteSpec
from headstart.finite.planning import greedy
from headstart.finite.simulation import Learner


class Knowledge(NamedTuple):
    """The table, and how often each of its entries was updated."""

    action_values: Float[Array, "horizon states actions"]
    visits: Float[Array, "horizon states actions"]
    episode: Float[Array, ""]
    """Episodes begun."""


@dataclass(frozen=True)
class UCBQ(Learner):
    """Q-learning with upper confidence bounds, Hoeffding version (Jin et al. 2018, algorithm 1).

    The ``t``-th update of an entry has the rate ``(H + 1) / (H + t)`` and the bonus ``scale sqrt(H^3 L / t)``,
    ``L = log(S A H k / delta)`` in episode ``k``. Every step has a table of its own, in stationary worlds too.
    """

    scale: float = 0.01
    """Factor on the bonus. Theory asks for a constant above 1; the default suits small worlds."""
    confidence: float = 0.95
    """Probability with which the bounds hold together (at theory's scale), 1 - delta."""

    def __post_init__(self) -> None:
        check_constants(self.scale, self.confidence)

    def init(self, spec: FiniteSpec) -> Knowledge:
        """Every action is worth all that can still be collected."""
        most = most_to_come(spec)
        return Knowledge(most, jnp.zeros_like(most), jnp.zeros(()))

    def begin(self, state: Knowledge, key: PRNGKeyArray) -> Knowledge:
        """Count the episode; the table is updated while acting."""
        return state._replace(episode=state.episode + 1)

    def choose(
        self, state: Knowledge, step: Int[Array, ""], observation: Int[Array, ""], key: PRNGKeyArray
    ) -> Int[Array, ""]:
        """The action of the largest value; ties go to the lowest."""
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
        """Move one entry towards the reward, the next state's value and the bonus."""
        horizon, states, actions = state.action_values.shape
        where = (step, observation, action)
        visits = state.visits[where] + 1
        rate = (horizon + 1) / (horizon + visits)
        log = jnp.log(states * actions * horizon * state.episode / (1 - self.confidence))
        bonus = self.scale * jnp.sqrt(horizon**3 * log / visits)
        following = state.action_values[jnp.minimum(step + 1, horizon - 1), next_observation].max()
        target = reward + jnp.clip(following, 0, horizon - 1 - step) + bonus
        updated = (1 - rate) * state.action_values[where] + rate * target
        return state._replace(
            action_values=state.action_values.at[where].set(updated), visits=state.visits.at[where].set(visits)
        )

    def policy(self, state: Knowledge) -> Float[Array, "horizon states actions"]:
        """Greedy for the table as it is at the start of the episode.

        Within an episode no step's entries are read after they changed: an update at one step concerns that step alone.
        """
        return greedy(state.action_values)
