"""Acting for methods that learn only from their own latest rollouts."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from headstart.control.collecting import Episodes, FunctionalCollector, HostCollector
from headstart.control.method import Metrics, State
from headstart.control.ppo import PPO, Choice, Rollout
from headstart.control.preprocessing import Preprocessor
from headstart.control.programs import Finished, Interaction
from headstart.envs.functional import FunctionalWorld, step_with_reset


@partial(jax.jit, static_argnames=("method",))
def _choose(
    method: PPO, preprocessor: Preprocessor, state: State, observations: Array, key: PRNGKeyArray, step: Array
) -> tuple[Choice, Array]:
    choice = method.choose(state, preprocessor.observation(observations), jax.random.fold_in(key, step))
    actions = choice.actions if preprocessor.spec.discrete else jnp.clip(choice.actions, -1, 1)
    return choice, preprocessor.to_world(actions)


@partial(jax.jit, static_argnames=("method",), donate_argnames=("state",))
def _learn(
    method: PPO,
    preprocessor: Preprocessor,
    state: State,
    rows: dict[str, Array],
    next_observations: Array,
    key: PRNGKeyArray,
) -> tuple[State, Metrics]:
    rows["observations"] = preprocessor.observation(rows["observations"])
    next_values = method.value(state, preprocessor.observation(next_observations))
    return method.update_from_rollout(state, Rollout(**rows, next_values=next_values), key)


@partial(jax.jit, static_argnames=("method", "world", "count"), donate_argnames=("state",))
def _rollout_and_learn(
    method: PPO,
    world: FunctionalWorld,
    preprocessor: Preprocessor,
    state: State,
    interaction: Interaction,
    rewards: tuple[float, float],
    key: PRNGKeyArray,
    first: Array,
    count: int,
) -> tuple[State, Interaction, Finished, Metrics]:
    def body(now: Interaction, step: Array) -> tuple[Interaction, Any]:
        choice, actions = _choose(method, preprocessor, state, now.observations, key, step)
        acting, after = jax.vmap(partial(step_with_reset, world))(now.acting, actions)
        finished, tally = now.tally.after(after.reward, after.termination, after.truncation)
        row = {
            "observations": now.observations,
            "actions": choice.actions,
            "log_probs": choice.log_probs,
            "values": choice.values,
            "rewards": after.reward * rewards[0] + rewards[1],
            "terminations": after.termination,
            "truncations": after.truncation,
        }
        return Interaction(acting, after.observation, tally), (row, after.next_observation, finished)

    interaction, (rows, following, finished) = jax.lax.scan(body, interaction, first + jnp.arange(count))
    learn_key = jax.random.fold_in(jax.random.fold_in(key, first), 1)
    state, metrics = _learn(method, preprocessor, state, rows, following, learn_key)
    return state, interaction, jax.tree.map(jnp.sum, finished), metrics


def rollout_and_learn(
    method: PPO,
    preprocessor: Preprocessor,
    state: State,
    collector: HostCollector | FunctionalCollector,
    rewards: tuple[float, float],
    key: PRNGKeyArray,
    first: int,
) -> tuple[State, dict[str, float]]:
    """Collect one rollout in every world of the collector, then learn from it.

    Args:
        rewards: scale and bias of the rewards that are learned from.
        key: all randomness of the phase.
        first: number of the rollout's first step within the phase.
    """
    if isinstance(collector, FunctionalCollector):
        state, collector.interaction, finished, metrics = _rollout_and_learn(
            method,
            collector.world,
            preprocessor,
            state,
            collector.interaction,
            rewards,
            key,
            np.int32(first),
            method.rollout_steps,
        )
        episodes = Episodes(*map(float, finished))
    else:
        rows, following, episodes = _host_rollout(method, preprocessor, state, collector, rewards, key, first)
        learn_key = jax.random.fold_in(jax.random.fold_in(key, first), 1)
        state, metrics = _learn(method, preprocessor, state, rows, following, learn_key)
    return state, {**episodes.metrics(), **{name: float(value) for name, value in metrics.items()}}


def _host_rollout(
    method: PPO,
    preprocessor: Preprocessor,
    state: State,
    collector: HostCollector,
    rewards: tuple[float, float],
    key: PRNGKeyArray,
    first: int,
) -> tuple[dict[str, np.ndarray], np.ndarray, Episodes]:
    rows, following, episodes = [], [], Episodes()
    observations = collector.start()
    for step in range(first, first + method.rollout_steps):
        choice, actions = _choose(method, preprocessor, state, observations, key, np.int32(step))
        after = collector.worlds.step(np.asarray(actions))
        rows.append(
            {
                "observations": observations,
                "actions": choice.actions,
                "log_probs": choice.log_probs,
                "values": choice.values,
                "rewards": (after.rewards * rewards[0] + rewards[1]).astype(np.float32),
                "terminations": after.terminations,
                "truncations": after.truncations,
            }
        )
        following.append(after.next_observations)
        collector.observations = observations = after.observations
        collector.count_episodes(after.rewards, after.terminations, after.truncations, episodes)
    return jax.tree.map(lambda *column: np.stack(column), *rows), np.stack(following), episodes
