"""Learners in cascading worlds: exact regret over many episodes, or episodes until a learner is sure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from headstart.core.errors import UsageError
from headstart.finite.cascading import CascadingMDP, CascadingSpec, evaluate_lists, optimal_lists
from headstart.finite.cascading_bpi import StopsWhenSure
from headstart.finite.cascading_vi import CascadingLearner


class CascadingCurves(NamedTuple):
    """What ``simulate_cascading`` returns."""

    episodes: Int[np.ndarray, " points"]
    """Episodes played so far; increasing, the last is all of them."""
    regret: Float[np.ndarray, "seeds points"]
    """Sum over the episodes so far of the optimal value minus the value of the lists shown (exact)."""
    optimal: float
    """Value of an optimal policy."""
    states: Any
    """What each seed's learner knows in the end."""


class Identified(NamedTuple):
    """What ``identify`` returns."""

    episodes: Int[np.ndarray, " seeds"]
    """Episodes played before the learner was sure."""
    sure: Bool[np.ndarray, " seeds"]
    """Whether it was, before the episodes ran out."""
    gap: Float[np.ndarray, " seeds"]
    """How far the lists returned are from optimal (exact)."""
    lists: Int[np.ndarray, "seeds horizon states list_size"]


def simulate_cascading(
    learner: CascadingLearner, world: CascadingMDP, episodes: int, seeds: int | Sequence[int], points: int = 100
) -> CascadingCurves:
    """Let a learner play a world, once for each seed, all seeds in one compiled program.

    Args:
        learner: the learner.
        world: the world.
        episodes: how many each seed plays, at least 1.
        seeds: the seeds, or how many (then 0, 1, …).
        points: how many points of the curves are kept, evenly spaced; fewer if there are fewer episodes.

    Raises:
        UsageError: no episodes, no seeds or no points.
    """
    chosen = _seeds(seeds, episodes=episodes, points=points)
    values, states = _playing(learner, world.spec, episodes)(_on_device(world), chosen)
    optimal = float(world.initial @ optimal_lists(world).values[0])
    regret = np.cumsum(optimal - np.asarray(values, np.float64), axis=1)
    kept = np.unique(np.linspace(0, episodes, min(points, episodes) + 1).round().astype(int)[1:])
    return CascadingCurves(kept, regret[:, kept - 1], optimal, jax.tree.map(np.asarray, states))


def identify(learner: StopsWhenSure, world: CascadingMDP, most_episodes: int, seeds: int | Sequence[int]) -> Identified:
    """Let a learner play until it is sure of a policy, once for each seed.

    Args:
        learner: one that says when it is sure.
        world: the world.
        most_episodes: when to give up.
        seeds: the seeds, or how many (then 0, 1, …).

    Raises:
        UsageError: no episodes or no seeds.
    """
    chosen = _seeds(seeds, most_episodes=most_episodes)
    episodes, sure, values, lists = map(
        np.asarray, _identifying(learner, world.spec)(_on_device(world), chosen, most_episodes)
    )
    optimal = float(world.initial @ optimal_lists(world).values[0])
    return Identified(episodes, sure, optimal - values.astype(np.float64), lists)


def _episode(learner: CascadingLearner, world: CascadingMDP, state: Any, key: PRNGKeyArray) -> Any:
    """Show the lists planned for one episode and learn from what they lead to."""
    keys = jax.random.split(key, world.horizon + 1)

    def session(carry: Any, given: tuple[Int[Array, ""], PRNGKeyArray]) -> Any:
        (state, observation), (step, key) = carry, given
        shown = learner.recommend(state, step, observation)
        seen = world.step(observation, shown, key)
        return (learner.observe(state, observation, shown, seen.clicked, seen.following), seen.following), None

    steps = (jnp.arange(world.horizon), keys[1:])
    (state, _), _ = jax.lax.scan(session, (state, world.reset(keys[0])), steps)
    return state


def _value(world: CascadingMDP, state: Any) -> Float[Array, ""]:
    return jnp.asarray(world.initial) @ evaluate_lists(world, state.lists)[0]


@lru_cache(maxsize=64)
def _playing(learner: CascadingLearner, spec: CascadingSpec, episodes: int) -> Any:
    """The compiled map from (world, seeds) to values of the policies played and final states."""

    def one_seed(world: CascadingMDP, seed: Int[Array, ""]) -> Any:
        def one_episode(state: Any, key: PRNGKeyArray) -> Any:
            state = learner.begin(state)
            return _episode(learner, world, state, key), _value(world, state)

        keys = jax.random.split(jax.random.key(seed), episodes)
        state, values = jax.lax.scan(one_episode, learner.init(spec, world.reward), keys)
        return values, state

    return jax.jit(jax.vmap(one_seed, (None, 0)))


@lru_cache(maxsize=64)
def _identifying(learner: StopsWhenSure, spec: CascadingSpec) -> Any:
    """The compiled map from (world, seeds, most episodes) to episodes, whether sure, value of the lists, and lists."""

    def one_seed(world: CascadingMDP, seed: Int[Array, ""], most_episodes: Int[Array, ""]) -> Any:
        key = jax.random.key(seed)

        def unsure(carry: Any) -> Any:
            played, state = carry
            return ~learner.sure(state, jnp.asarray(world.initial)) & (played < most_episodes)

        def one_episode(carry: Any) -> Any:
            played, state = carry
            state = _episode(learner, world, state, jax.random.fold_in(key, played))
            return played + 1, learner.begin(state)

        start = (jnp.asarray(0), learner.begin(learner.init(spec, world.reward)))
        played, state = jax.lax.while_loop(unsure, one_episode, start)
        return played, learner.sure(state, jnp.asarray(world.initial)), _value(world, state), state.lists

    return jax.jit(jax.vmap(one_seed, (None, 0, None)))


def _on_device(world: CascadingMDP) -> CascadingMDP:
    return jax.tree.map(lambda array: jnp.asarray(array, jnp.float32), world)


def _seeds(seeds: int | Sequence[int], **counts: int) -> np.ndarray:
    chosen = np.arange(seeds) if isinstance(seeds, int) else np.asarray([int(seed) for seed in seeds])
    for name, count in {"seeds": len(chosen), **counts}.items():
        if count < 1:
            raise UsageError(f"{name} is {count}; it needs to be at least 1")
    return chosen
