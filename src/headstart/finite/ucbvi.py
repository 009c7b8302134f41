"""UCBVI: plan in the empirical world, with a bonus for what is not known well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.core.errors import UsageError
from headstart.finite.counting import Visits, check_constants, most_to_come
from headstart.finite.mdp import FiniteSpec
from headstart.finite.planning import greedy
from headstart.finite.simulation import Learner


class Knowledge(NamedTuple):
    """What was seen, and the plan made of it."""

    visits: Visits
    episode: Float[Array, ""]
    """Episodes begun."""
    action_values: Float[Array, "horizon states actions"]
    """Optimistic: with high probability no smaller than the optimal ones."""


@dataclass(frozen=True)
class UCBVI(Learner):
    """Upper-confidence value iteration (Azar, Osband and Munos 2017, algorithm 1)."""

    scale: float = 0.1
    """Factor on the bonus. Theory has ``7 sqrt(L)``; the default suits small worlds."""
    confidence: float = 0.95
    """Probability with which the bounds hold together (at theory's scale), 1 - delta."""
    bonus: Literal["hoeffding", "bernstein"] = "hoeffding"
    """``hoeffding``: by the range of values, ``scale (H - h) sqrt(L / n)``. ``bernstein``: by their variance under the
    empirical transitions, ``sqrt(2 scale Var L / n) + scale (H - h) L / (3 n)``, without the paper's correction for the
    error of the next values. ``L = log(5 S A H k / delta)`` in episode ``k``."""

    def __post_init__(self) -> None:
        check_constants(self.scale, self.confidence)
        if self.bonus not in ("hoeffding", "bernstein"):
            raise UsageError(f"bonus is {self.bonus!r}; choose hoeffding or bernstein")

    def init(self, spec: FiniteSpec) -> Knowledge:
        """Nothing is known: every action is worth all that can still be collected."""
        return Knowledge(Visits.none(spec), jnp.zeros(()), most_to_come(spec))

    def begin(self, state: Knowledge, key: PRNGKeyArray) -> Knowledge:
        """Plan again, backwards; values never rise from one episode to the next."""
        horizon, states, actions = state.action_values.shape
        episode = state.episode + 1
        log = jnp.log(5 * states * actions * horizon * episode / (1 - self.confidence))

        def one_step(values: Float[Array, " states"], step_and_last: tuple) -> tuple:
            step, last = step_and_last
            seen = state.visits.at(step)
            left, n = horizon - step, jnp.maximum(seen.count, 1)
            expected = seen.transitions @ values / n
            if self.bonus == "hoeffding":
                width = self.scale * left * jnp.sqrt(log / n)
            else:
                variance = jnp.maximum(seen.transitions @ values**2 / n - expected**2, 0)
                width = jnp.sqrt(2 * self.scale * variance * log / n) + self.scale * left * log / (3 * n)
            optimistic = jnp.minimum(seen.rewards / n + expected + width, last)
            optimistic = jnp.where(seen.count > 0, optimistic, last)
            return optimistic.max(-1), optimistic

        steps = (jnp.arange(horizon), state.action_values)
        _, action_values = jax.lax.scan(one_step, jnp.zeros(states), steps, reverse=True)
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
        """Count the transition."""
        return state._replace(visits=state.visits.add(step, observation, action, reward, next_observation))

    def policy(self, state: Knowledge) -> Float[Array, "horizon states actions"]:
        """Greedy for the optimistic values."""
        return greedy(state.action_values)
