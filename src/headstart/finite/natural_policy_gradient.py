"""Natural policy gradient with a softmax policy: multiply probabilities by the exponential of their values.

In a tabular softmax policy a step of the natural gradient is ``policy * exp(step_size * Q)``, normalised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from scipy.special import softmax

from headstart.core.errors import UsageError
from headstart.finite.counting import Visits, check_constants
from headstart.finite.mdp import DiscountedMDP, FiniteMDP, FiniteSpec
from headstart.finite.planning import evaluate_policy, evaluate_stationary
from headstart.finite.simulation import Learner


class Iterates(NamedTuple):
    """The last policy, and the value of every one on the way from the world's start, the uniform policy's first."""

    policy: Float[np.ndarray, "... states actions"]
    values: Float[np.ndarray, " iterates"]


def natural_policy_gradient(world: FiniteMDP | DiscountedMDP, iterations: int, step_size: float) -> Iterates:
    """Steps from the uniform policy in a known world, with exact values (Agarwal et al. 2021; NumPy, float64).

    In a discounted world the value is within ``(log(actions) / step_size + 1 / (1 - discount)) / ((1 - discount)
    iterations)`` of the optimum, whatever the start.

    Args:
        world: episodic or discounted.
        iterations: number of steps, at least 1.
        step_size: factor on the action values in the exponent, above 0.

    Raises:
        UsageError: no iterations, or a step size that is not above 0.
    """
    if iterations < 1 or not step_size > 0:
        raise UsageError(f"iterations are {iterations} and step_size {step_size}; expected at least 1 and above 0")
    world = jax.tree.map(lambda array: np.asarray(array, np.float64), world)
    episodic = isinstance(world, FiniteMDP)
    logits = np.zeros((world.horizon, world.states, world.actions) if episodic else (world.states, world.actions))
    values = []
    for _ in range(iterations + 1):
        policy = softmax(logits, axis=-1)
        of_states, action_values = _evaluate(world, policy)
        values.append(world.initial @ of_states)
        logits = logits + step_size * action_values
    return Iterates(policy, np.array(values))


def _evaluate(world: FiniteMDP | DiscountedMDP, policy: np.ndarray) -> tuple[Any, Any]:
    """Values of the states at the start of an episode, and of all actions."""
    if isinstance(world, DiscountedMDP):
        values = evaluate_stationary(world, policy)
        return values, world.reward + world.discount * (world.transition @ values)
    values = evaluate_policy(world, policy)
    steps = zip(map(world.at, range(world.horizon)), values[1:])
    return values[0], np.stack([reward + transition @ following for (transition, reward), following in steps])


class Knowledge(NamedTuple):
    """What was seen, and the policy made of it."""

    visits: Visits
    episode: Float[Array, ""]
    """Episodes begun."""
    logits: Float[Array, "horizon states actions"]
    """The policy is their softmax."""


@dataclass(frozen=True)
class OptimisticNPG(Learner):
    """Natural policy gradient on optimistic values of the empirical world (Cai et al. 2020, OPPO, tabular)."""

    step_size: float = 1.0
    """Factor on the action values in the exponent, ``step_size sqrt(2 log(A) / k) / H`` in episode ``k``; theory has 1,
    and the number of all episodes in place of ``k``."""
    scale: float = 0.1
    """Factor on the bonus ``scale (H - h) sqrt(L / n)``, ``L = log(5 S A H k / delta)``; 0 for none."""
    confidence: float = 0.95
    """Probability with which the bounds hold together (at theory's scale), 1 - delta."""

    def __post_init__(self) -> None:
        check_constants(self.scale, self.confidence)
        if not self.step_size > 0:
            raise UsageError(f"step_size is {self.step_size}; expected a number above 0")

    def init(self, spec: FiniteSpec) -> Knowledge:
        """Nothing seen, the uniform policy."""
        return Knowledge(Visits.none(spec), jnp.zeros(()), jnp.zeros((spec.horizon, spec.states, spec.actions)))

    def begin(self, state: Knowledge, key: PRNGKeyArray) -> Knowledge:
        """Evaluate the last policy, optimistically, and take a step."""
        horizon, states, actions = state.logits.shape
        episode = state.episode + 1
        log = jnp.log(5 * states * actions * horizon * episode / (1 - self.confidence))

        def one_step(values: Float[Array, " states"], step_and_policy: tuple) -> tuple:
            step, policy = step_and_policy
            seen, left = state.visits.at(step), horizon - step
            n = jnp.maximum(seen.count, 1)
            bonus = self.scale * left * jnp.sqrt(log / n)
            action_values = jnp.minimum((seen.rewards + seen.transitions @ values) / n + bonus, left)
            action_values = jnp.where(seen.count > 0, action_values, left if self.scale else 0.0)
            return (policy * action_values).sum(-1), action_values

        steps = (jnp.arange(horizon), self.policy(state))
        _, action_values = jax.lax.scan(one_step, jnp.zeros(states), steps, reverse=True)
        logits = state.logits + self.step_size * jnp.sqrt(2 * jnp.log(actions) / episode) / horizon * action_values
        return state._replace(episode=episode, logits=logits - logits.max(-1, keepdims=True))

    def choose(
        self, state: Knowledge, step: Int[Array, ""], observation: Int[Array, ""], key: PRNGKeyArray
    ) -> Int[Array, ""]:
        """Draw from the policy."""
        return jax.random.categorical(key, state.logits[step, observation])

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
        """The softmax of the logits."""
        return jax.nn.softmax(state.logits)
