"""Learners in episodic worlds, and their exact regret: many seeds in one compiled program."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.core.errors import DataError, UsageError
from headstart.finite.mdp import FiniteMDP, FiniteSpec, RewardNoise, outcome
from headstart.finite.planning import backward_induction, value_of

State = Any  # a pytree of arrays; each learner has its own


@dataclass(frozen=True, eq=False)  # so that a subclass with eq=False is compared by identity
class Learner(abc.ABC):
    """Learns an episodic world by acting in it. Its fields are its constants; its methods are pure and jittable.

    Learners are hashable, so that a compiled program is kept for the next call: one that holds arrays is declared with
    ``@dataclass(frozen=True, eq=False)``.
    """

    @abc.abstractmethod
    def init(self, spec: FiniteSpec) -> State:
        """What is known before the first episode."""

    def begin(self, state: State, key: PRNGKeyArray) -> State:
        """Called at the start of every episode: the moment to plan again. Does nothing unless overridden."""
        return state

    @abc.abstractmethod
    def choose(
        self, state: State, step: Int[Array, ""], observation: Int[Array, ""], key: PRNGKeyArray
    ) -> Int[Array, ""]:
        """The action at a step (from 0) of the episode."""

    @abc.abstractmethod
    def observe(
        self,
        state: State,
        step: Int[Array, ""],
        observation: Int[Array, ""],
        action: Int[Array, ""],
        reward: Float[Array, ""],
        next_observation: Int[Array, ""],
    ) -> State:
        """What is known after a transition."""

    @abc.abstractmethod
    def policy(self, state: State) -> Float[Array, "steps states actions"]:
        """The probabilities with which ``choose`` acts in this episode (after ``begin``), for exact regret."""


class Curves(NamedTuple):
    """What ``simulate`` returns; the leading axis of all but ``episodes`` and ``optimal`` are the seeds."""

    episodes: Int[np.ndarray, " points"]
    """Episodes played so far; increasing, the last is all of them."""
    regret: Float[np.ndarray, "seeds points"]
    """Sum over the episodes played so far of the optimal value minus the value of the policy played (exact)."""
    values: Float[np.ndarray, "seeds points"]
    """Value of the policy played in the last of those episodes (exact)."""
    returns: Float[np.ndarray, "seeds points"]
    """Mean reward collected in an episode, over the episodes played so far."""
    optimal: float
    """Value of an optimal policy."""
    states: State
    """What each seed's learner knows in the end."""


def simulate(
    learner: Learner,
    world: FiniteMDP,
    episodes: int,
    seeds: int | Sequence[int],
    points: int = 100,
    threads: int = 1,
) -> Curves:
    """Let a learner play a world, once for each seed.

    Args:
        learner: the learner.
        world: the world.
        episodes: how many each seed plays, at least 1.
        seeds: the seeds, or how many (then 0, 1, …). A seed's curve does not depend on which others are played.
        points: how many points of the curves are kept, evenly spaced; fewer if there are fewer episodes.
        threads: parts of the seeds that are played side by side.

    Raises:
        UsageError: no episodes, no seeds or no points; or a world without episodes.
        DataError: the learner's ``policy`` is not made of probabilities, or not finite: regret would mean nothing.
    """
    if not isinstance(world, FiniteMDP):
        raise UsageError(f"the world is a {type(world).__name__}; learners play episodes: build it with FiniteMDP.of")
    chosen = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    for name, count in (("episodes", episodes), ("seeds", len(chosen)), ("points", points), ("threads", threads)):
        if count < 1 or int(count) != count:
            raise UsageError(f"{name} is {count}; it needs to be a whole number, at least 1")
    threads = min(threads, len(chosen))
    share = -(-len(chosen) // threads)
    program = _program(learner, world.spec, world.reward_noise, int(episodes), share)
    transition, reward, initial = (
        jnp.asarray(part, jnp.float32) for part in (world.transition, world.reward, world.initial)
    )
    on_device = FiniteMDP(transition, reward, initial, world.horizon, world.reward_noise)
    parts = np.pad(np.asarray(chosen), (0, share * threads - len(chosen)), "edge").reshape(threads, share)
    with ThreadPoolExecutor(threads) as pool:
        played = list(pool.map(lambda part: jax.block_until_ready(program(on_device, jnp.asarray(part))), parts))
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(chosen)], *played)
    states, values, returns = joined
    _check_policy(learner, jax.tree.map(lambda leaf: leaf[0], states))

    optimal = float(np.asarray(world.initial) @ np.asarray(backward_induction(world).values[0]))
    kept = np.unique(np.linspace(0, episodes, min(points, episodes) + 1).round().astype(int)[1:])
    regret = np.cumsum(optimal - values.astype(np.float64), axis=1)[:, kept - 1]
    collected = np.cumsum(returns.astype(np.float64), axis=1)[:, kept - 1] / kept
    return Curves(kept, regret, values[:, kept - 1], collected, optimal, states)


def _check_policy(learner: Learner, state: State) -> None:
    """Refuse a learner whose last policy is no policy."""
    policy = np.asarray(learner.policy(state), np.float64)
    sums = policy.sum(-1)
    wrong = ~((policy >= -1e-6).all(-1) & (np.abs(sums - 1) <= 1e-3))
    if wrong.any():
        step, observation = np.argwhere(wrong)[0]
        raise DataError(
            f"{type(learner).__name__}.policy at step {step}, state {observation} sums to {sums[step, observation]:.4g}"
            "; it has to be the probabilities with which choose acts, finite, at least 0, summing to 1"
        )


@lru_cache(maxsize=64)
def _program(learner: Learner, spec: FiniteSpec, reward_noise: RewardNoise, episodes: int, seeds: int) -> Any:
    """The compiled map from (world, seeds) to final states, policies' values and episodes' returns."""
    steps = 1 if spec.stationary else spec.horizon
    shapes = [(steps, spec.states, spec.actions, spec.states), (steps, spec.states, spec.actions), (spec.states,)]
    transition, reward, initial = (cast(Any, jax.ShapeDtypeStruct(shape, jnp.float32)) for shape in shapes)
    world_of_shapes = FiniteMDP(transition, reward, initial, spec.horizon, reward_noise)

    def one_episode(world: FiniteMDP, cumulative: Any, state: State, key: PRNGKeyArray) -> Any:
        begin_key, reset_key, choices_key, outcomes_key = jax.random.split(key, 4)
        state = learner.begin(state, begin_key)
        value = value_of(world, learner.policy(state))

        def one_step(carry: Any, step: Int[Array, ""]) -> Any:
            state, observation = carry
            where = (0 if spec.stationary else step, observation)
            action = learner.choose(state, step, observation, jax.random.fold_in(choices_key, step))
            outcome_key = jax.random.fold_in(outcomes_key, step)
            following, reward = outcome(
                cumulative[(*where, action)], world.reward[(*where, action)], world.reward_noise, outcome_key
            )
            return (learner.observe(state, step, observation, action, reward, following), following), reward

        (state, _), rewards = jax.lax.scan(one_step, (state, world.reset(reset_key)), jnp.arange(spec.horizon))
        return state, (value, rewards.sum())

    def one_seed(world: FiniteMDP, seed: Int[Array, ""]) -> Any:
        keys = jax.random.split(jax.random.key(seed), episodes)
        cumulative = jnp.cumsum(world.transition, axis=-1)  # once, not at every step: sums are slow in small pieces
        play = partial(one_episode, world, cumulative)
        state, (values, returns) = jax.lax.scan(play, learner.init(spec), keys)
        return state, values, returns

    numbers = jax.ShapeDtypeStruct((seeds,), jnp.int32)
    return jax.jit(jax.vmap(one_seed, (None, 0))).lower(world_of_shapes, numbers).compile()
