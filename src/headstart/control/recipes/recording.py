"""Acting in worlds and handing out what happened: exactly as many rows as were asked for, episode after episode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from headstart.control.recipes.recipe import Rows
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.columns import COLUMNS
from headstart.data.experience import Experience
from headstart.envs.functional import FunctionalWorld, Rollout, rollout, uniform_policy
from headstart.envs.worlds import Worlds

Choose = Callable[[np.ndarray, int], np.ndarray]
"""From the observations of all worlds and the number of the step to an action for each world."""


def uniform(spec: Spec, count: int, seed: int) -> Choose:
    """Uniform random actions within the bounds."""
    generator = np.random.default_rng((seed, 0))
    action = spec.action
    if isinstance(action, Discrete):
        return lambda observations, step: generator.integers(action.n, size=count)
    low, high = (np.reshape(bound, action.shape) for bound in (action.low, action.high))
    return lambda observations, step: generator.uniform(low, high, (count, *action.shape)).astype(np.float32)


def record(worlds: Worlds, choose: Choose, transitions: int) -> Iterator[Rows]:
    """Act in all worlds together for ``transitions`` rows in all, handing out each episode when it ends.

    Every world acts equally long, so that short episodes are not preferred; those still going on at the end are cut.
    """
    running: list[list[tuple[Any, ...]]] = [[] for _ in range(worlds.count)]
    observations = worlds.reset()
    left = transitions

    def handed_out(index: int) -> Rows:
        nonlocal left
        rows = cut({name: np.stack(column) for name, column in zip(COLUMNS, zip(*running[index]), strict=True)}, left)
        running[index] = []
        left -= len(rows["rewards"])
        return rows

    for step in range(-(-transitions // worlds.count)):
        actions = choose(observations, step)
        after = worlds.step(actions)
        for index in range(worlds.count):
            running[index].append(
                (
                    observations[index],
                    actions[index],
                    after.rewards[index],
                    after.next_observations[index],
                    after.terminations[index],
                    after.truncations[index],
                )
            )
            if after.terminations[index] or after.truncations[index]:
                yield handed_out(index)
        observations = after.observations
    for index in range(worlds.count):
        if running[index] and left:
            yield handed_out(index)


def record_functional(
    world: FunctionalWorld,
    key: PRNGKeyArray,
    episodes: int,
    noise: float,
    random: float,
    transitions: int | None = None,
) -> Rows:
    """Whole episodes of a functional world's controller, disturbed as ``noisy_controller`` says.

    With ``transitions`` there are as many episodes as that takes, a round of ``episodes`` at a time, and the last one
    is cut.
    """
    rounds = [_disturbed_episodes(world, episodes, key, noise, random).steps()]
    if transitions is None:
        return rounds[0]
    while sum(len(rows["rewards"]) for rows in rounds) < transitions:
        round_key = jax.random.fold_in(key, len(rounds))
        rounds.append(_disturbed_episodes(world, episodes, round_key, noise, random).steps())
    return cut({name: np.concatenate([rows[name] for rows in rounds]) for name in COLUMNS}, transitions)


@partial(jax.jit, static_argnums=(0, 1))
def _disturbed_episodes(world: FunctionalWorld, episodes: int, key: PRNGKeyArray, noise: Any, random: Any) -> Rollout:
    """Compiled once for all disturbances, where ``noisy_controller`` is compiled for each."""
    space, anything = world.spec.action, uniform_policy(world)

    def policy(key: PRNGKeyArray, state: Any) -> Any:
        noise_key, choice_key, uniform_key = jax.random.split(key, 3)
        action = world.controller(state)
        if isinstance(space, Box):
            low, high = (jnp.asarray(bound, jnp.float32).reshape(space.shape) for bound in (space.low, space.high))
            action = jnp.clip(action + noise * jax.random.normal(noise_key, space.shape), low, high)
        return jnp.where(jax.random.uniform(choice_key) < random, anything(uniform_key, state), action)

    return rollout(world, policy, key, episodes, from_state=True)


def of_episodes(experience: Experience, transitions: int | None, seed: int) -> Iterator[Rows]:
    """Episodes drawn at random until there are ``transitions`` rows, in their order of time; all of them by default."""
    episodes = experience.episodes()
    chosen: Sequence[int] | np.ndarray = np.arange(len(episodes))
    if transitions is not None and transitions < len(experience):
        drawn = np.random.default_rng((seed, 1)).permutation(len(episodes))
        enough = int(np.searchsorted(np.cumsum(episodes.lengths[drawn]), transitions)) + 1
        chosen = np.sort(drawn[:enough])
    columns = experience.select(chosen).columns
    yield cut(columns, transitions or len(experience))


def cut(rows: Rows, length: int) -> Rows:
    """The first ``length`` rows; the last row ends its episode."""
    kept = {name: column[:length].copy() for name, column in rows.items()}
    kept["truncations"][-1] |= not kept["terminations"][-1]
    return kept
