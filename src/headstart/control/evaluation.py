"""How good a policy is: whole episodes, acting greedily, in worlds of their own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.control.method import Method, State
from headstart.control.preprocessing import Preprocessor
from headstart.control.programs import act, choose
from headstart.envs.functional import FunctionalWorld
from headstart.envs.worlds import Worlds


@dataclass(frozen=True)
class Evaluation:
    """Outcomes of evaluation episodes.

    Attributes:
        returns: undiscounted return of each episode.
        lengths: steps of each episode.
        terminated: whether each truly ended, rather than being cut by the time limit.
    """

    returns: Float[np.ndarray, " episodes"]
    lengths: Int[np.ndarray, " episodes"]
    terminated: Float[np.ndarray, " episodes"]

    def to_json(self) -> dict[str, list[float]]:
        """Every episode's numbers."""
        return {name: np.asarray(getattr(self, name)).tolist() for name in ("returns", "lengths", "terminated")}

    def metrics(self) -> dict[str, float]:
        """Means over the episodes, by metric name."""
        return {
            "evaluation/return": float(np.mean(self.returns)),
            "evaluation/length": float(np.mean(self.lengths)),
            "evaluation/terminated": float(np.mean(self.terminated)),
        }


@partial(jax.jit, static_argnames=("method", "world", "episodes"))
def _functional_episodes(
    method: Method, world: FunctionalWorld, preprocessor: Preprocessor, state: State, key: PRNGKeyArray, episodes: int
) -> tuple[Array, Array, Array]:
    def one_step(carry, step):
        states, alive, returns = carry
        observations = jax.vmap(world.observe)(states)
        actions = choose(method, preprocessor, state, observations, jax.random.fold_in(key, step), "greedy")
        states, rewards, terminated = jax.vmap(world.step)(states, actions)
        return (states, alive & ~terminated, returns + rewards * alive), (alive, alive & terminated)

    states = jax.vmap(world.reset)(jax.random.split(key, episodes))
    carry = (states, jnp.ones(episodes, bool), jnp.zeros(episodes))
    (_, _, returns), (alive, ended) = jax.lax.scan(one_step, carry, jnp.arange(world.horizon))
    return returns, jnp.sum(alive, 0), jnp.any(ended, 0) * 1.0


def evaluate_functional(
    method: Method, world: FunctionalWorld, preprocessor: Preprocessor, state: State, key: PRNGKeyArray, episodes: int
) -> Evaluation:
    """Evaluate in a functional world, all episodes at once."""
    return Evaluation(*map(np.asarray, _functional_episodes(method, world, preprocessor, state, key, episodes)))


def evaluate_worlds(
    method: Method, worlds: Worlds, preprocessor: Preprocessor, state: State, key: PRNGKeyArray
) -> Evaluation:
    """Evaluate in fresh host worlds: the first episode of each, stepped together until the last has ended."""
    observations = worlds.reset()
    returns, lengths = np.zeros(worlds.count), np.zeros(worlds.count, np.int64)
    alive, terminated = np.ones(worlds.count, bool), np.zeros(worlds.count)
    while alive.any():
        actions = np.asarray(act(method, preprocessor, state, observations, key, "greedy"))
        after = worlds.step(actions)
        returns += after.rewards * alive
        lengths += alive
        terminated += alive & after.terminations
        alive &= ~(after.terminations | after.truncations)
        observations = after.observations
    return Evaluation(returns, lengths, terminated)
