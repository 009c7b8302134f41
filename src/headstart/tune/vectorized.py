"""Many configurations of PPO trained at once, by one compiled program: their hyper-parameters are arrays.

Trials in processes of their own compile a program each; in a functional world all members of a population can share
one. What changes between members must not change shapes: rates, weights and ranges, not sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from headstart.control.method import State
from headstart.control.ppo import PPO, Rollout
from headstart.control.programs import Interaction, begin
from headstart.envs.functional import FunctionalWorld, step_with_reset
from headstart.tune.space import Configuration


class Members(NamedTuple):
    """Trainings under way, along a leading axis.

    Attributes:
        state: what each has learned.
        interaction: where its worlds are.
        seed: int32, its training seed.
        rollouts: int32, how many it has learned from.
    """

    state: State
    interaction: Interaction
    seed: Int[Array, " members"]
    rollouts: Int[Array, " members"]

    def take(self, rows: Sequence[int]) -> Members:
        """Copies of some members, in that order."""
        chosen = np.asarray(rows)
        return jax.tree.map(lambda leaf: leaf[chosen], self)


@partial(jax.jit, static_argnames=("method", "world", "worlds"))
def start_members(method: PPO, world: FunctionalWorld, seeds: Int[Array, " members"], worlds: int) -> Members:
    """Fresh members, one for each seed; equal seeds start equally.

    Args:
        method: what is trained; its fields that hold numbers may be replaced by ``advance``.
        world: where to act.
        seeds: training seeds.
        worlds: copies of the world that each member acts in.
    """

    def fresh(seed: Array) -> tuple[State, Interaction]:
        first, second = jax.random.split(jax.random.key(seed))
        return method.init(first, world.spec), begin(world, worlds, second)

    state, interaction = jax.vmap(fresh)(seeds)
    return Members(state, interaction, seeds, jnp.zeros_like(seeds))


@partial(jax.jit, static_argnames=("method", "world", "rollouts"))
def advance(
    method: PPO, world: FunctionalWorld, members: Members, numbers: dict[str, Float[Array, " members"]], rollouts: int
) -> Members:
    """Members after so many more rollouts, each with its own hyper-parameters.

    Args:
        method: gives the hyper-parameters that all share.
        world: where to act.
        members: trainings under way.
        numbers: fields of the method that differ, by name.
        rollouts: how many to collect and learn from.
    """

    def one(member: Members, own: dict[str, Array]) -> Members:
        learner = replace(method, **own)

        def step(carry: tuple[State, Interaction], key: Array) -> tuple[tuple[State, Interaction], None]:
            state, interaction = carry
            act_key, learn_key = jax.random.split(key)
            interaction, rollout = collect(learner, world, state, interaction, act_key)
            return (learner.update_from_rollout(state, rollout, learn_key)[0], interaction), None

        key = jax.random.fold_in(jax.random.key(member.seed), 1)
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(member.rollouts + jnp.arange(rollouts))
        (state, interaction), _ = jax.lax.scan(step, (member.state, member.interaction), keys)
        return Members(state, interaction, member.seed, member.rollouts + rollouts)

    return jax.vmap(one)(members, numbers)


def collect(
    method: PPO, world: FunctionalWorld, state: State, interaction: Interaction, key: Array
) -> tuple[Interaction, Rollout]:
    """One rollout of a member in all its worlds."""

    def body(now: Interaction, key: Array) -> tuple[Interaction, tuple[Any, Array]]:
        choice = method.choose(state, now.observations, key)
        acting, after = jax.vmap(partial(step_with_reset, world))(now.acting, choice.actions)
        row = (now.observations, *choice, after.reward, after.termination, after.truncation)
        return Interaction(acting, after.observation, now.tally), (row, after.next_observation)

    interaction, (row, following) = jax.lax.scan(body, interaction, jax.random.split(key, method.rollout_steps))
    return interaction, Rollout(*row, next_values=method.value(state, following))


@partial(jax.jit, static_argnames=("method", "world", "episodes"))
def evaluate_members(method: PPO, world: FunctionalWorld, members: Members, episodes: int) -> Float[Array, " members"]:
    """Mean return of episodes with drawn actions, as in training; a member's start equally at each evaluation."""

    def one(state: State, seed: Array) -> Array:
        key = jax.random.fold_in(jax.random.key(seed), 2)

        def step(carry: tuple[Any, Array, Array], key: Array) -> tuple[tuple[Any, Array, Array], None]:
            places, alive, total = carry
            actions = method.act(state, jax.vmap(world.observe)(places), key, explore=True)
            places, rewards, ended = jax.vmap(world.step)(places, actions)
            return (places, alive & ~ended, total + rewards * alive), None

        starts, acting = jax.random.split(key)
        places = jax.vmap(world.reset)(jax.random.split(starts, episodes))
        carry = (places, jnp.ones(episodes, bool), jnp.zeros(episodes))
        (_, _, total), _ = jax.lax.scan(step, carry, jax.random.split(acting, world.horizon))
        return jnp.mean(total)

    return jax.vmap(one)(members.state, members.seed)


def numbers_of(configurations: Sequence[Configuration]) -> dict[str, Float[Array, " members"]]:
    """Configurations as arrays, one row a member, for ``advance``."""
    names = configurations[0]
    return {name: jnp.array([float(row[name]) for row in configurations], jnp.float32) for name in names}
