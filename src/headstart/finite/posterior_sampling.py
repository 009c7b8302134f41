"""Posterior sampling: act for an episode as if a world drawn from the posterior were the true one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.core.errors import UsageError
from headstart.finite.counting import Visits, most_to_come
from headstart.finite.mdp import FiniteSpec
from headstart.finite.planning import greedy
from headstart.finite.simulation import Learner


class Knowledge(NamedTuple):
    """What was seen, and the values of the world drawn for this episode."""

    visits: Visits
    action_values: Float[Array, "horizon states actions"]


@dataclass(frozen=True)
class PosteriorSampling(Learner):
    """PSRL (Strens 2000; Osband, Russo and Van Roy 2013): Dirichlet transitions, Beta rewards.

    Rewards between 0 and 1 count as that part of a success. Drawing from the posterior takes most of the time.
    """

    transition_prior: float = 0.05
    """Count of every next state before anything is seen; small ones expect few next states. One over the number of
    states is usual."""
    reward_prior: float = 1.0
    """Count of successes and of failures before anything is seen; 1 is the uniform distribution."""

    def __post_init__(self) -> None:
        if not (self.transition_prior > 0 and self.reward_prior > 0):
            raise UsageError(
                f"transition_prior is {self.transition_prior} and reward_prior {self.reward_prior}; counts of a prior "
                "are above 0"
            )

    def init(self, spec: FiniteSpec) -> Knowledge:
        """Nothing seen."""
        return Knowledge(Visits.none(spec), most_to_come(spec))

    def begin(self, state: Knowledge, key: PRNGKeyArray) -> Knowledge:
        """Draw a world and plan in it."""
        seen = state.visits
        successes, failures = seen.rewards[..., None], (seen.count - seen.rewards)[..., None]
        counts = [seen.transitions + self.transition_prior, successes + self.reward_prior, failures + self.reward_prior]
        logs = jax.random.loggamma(key, jnp.concatenate(counts, -1))  # normalised, Gammas are Dirichlet and Beta
        transition, reward = jax.nn.softmax(logs[..., :-2]), jax.nn.softmax(logs[..., -2:])[..., 0]

        def one_step(values: Float[Array, " states"], step: Int[Array, ""]) -> tuple:
            at = step if len(reward) > 1 else 0
            action_values = reward[at] + transition[at] @ values
            return action_values.max(-1), action_values

        horizon, states, _ = state.action_values.shape
        _, action_values = jax.lax.scan(one_step, jnp.zeros(states), jnp.arange(horizon), reverse=True)
        return state._replace(action_values=action_values)

    def choose(
        self, state: Knowledge, step: Int[Array, ""], observation: Int[Array, ""], key: PRNGKeyArray
    ) -> Int[Array, ""]:
        """The best action in the world drawn."""
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
        """Count the transition."""
        return state._replace(visits=state.visits.add(step, observation, action, reward, next_observation))

    def policy(self, state: Knowledge) -> Float[Array, "horizon states actions"]:
        """Optimal in the world drawn."""
        return greedy(state.action_values)
