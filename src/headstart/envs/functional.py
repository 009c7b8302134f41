"""Worlds that are pure functions of arrays, so that acting and learning compile into one program."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from headstart.core.specs import Discrete, Spec

State = Any  # a pytree of arrays; each world has its own
Policy = Callable[[PRNGKeyArray, Any], Shaped[Array, "..."]]  # (key, observation) -> action


@dataclass(frozen=True)
class FunctionalWorld(abc.ABC):
    """A world without hidden state. Instances are hashable, so they can be static under ``jax.jit``.

    Actions are in the world's own units. Time limits are not the world's business: whoever drives it counts steps and
    truncates at ``horizon``.
    """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The name it is registered under."""

    @property
    @abc.abstractmethod
    def horizon(self) -> int:
        """Steps after which an episode is truncated."""

    @property
    @abc.abstractmethod
    def spec(self) -> Spec:
        """Shapes and bounds of observations and actions."""

    @abc.abstractmethod
    def reset(self, key: PRNGKeyArray) -> State:
        """A start state."""

    @abc.abstractmethod
    def observe(self, state: State) -> Float[Array, " observation"]:
        """What a policy sees of ``state``, float32."""

    @abc.abstractmethod
    def step(self, state: State, action: Shaped[Array, "..."]) -> tuple[State, Float[Array, ""], Bool[Array, ""]]:
        """The next state, the reward, and whether the world has ended for good (never on a time limit)."""

    @abc.abstractmethod
    def controller(self, state: State) -> Shaped[Array, "..."]:
        """The action of the world's scripted controller, without noise."""


class Step(NamedTuple):
    """One step of a world that restarts by itself.

    Attributes:
        next_observation: the true successor, also where the episode ended there.
        reward: float32.
        termination: the world truly ended.
        truncation: the time limit cut the episode here (false where it also terminated).
        observation: where to act next: the successor, or a fresh episode's first observation.
    """

    next_observation: Float[Array, " observation"]
    reward: Float[Array, ""]
    termination: Bool[Array, ""]
    truncation: Bool[Array, ""]
    observation: Float[Array, " observation"]


class Acting(NamedTuple):
    """What ``step_with_reset`` carries along a scan.

    Attributes:
        state: the world's state.
        steps: int32, steps taken in the running episode.
        key: random key from which later episodes start.
    """

    state: State
    steps: Int[Array, ""]
    key: PRNGKeyArray


def start(world: FunctionalWorld, key: PRNGKeyArray) -> Acting:
    """The beginning of a first episode; observe it with ``world.observe(acting.state)``."""
    key, reset_key = jax.random.split(key)
    return Acting(world.reset(reset_key), jnp.zeros((), jnp.int32), key)


def step_with_reset(world: FunctionalWorld, acting: Acting, action: Shaped[Array, "..."]) -> tuple[Acting, Step]:
    """Act once, and start a new episode where this one ended. Pure: for use inside ``jax.lax.scan`` or ``jax.vmap``."""
    state, reward, termination = world.step(acting.state, action)
    steps = acting.steps + 1
    truncation = (steps >= world.horizon) & ~termination
    after = jax.lax.cond(
        termination | truncation, lambda: start(world, acting.key), lambda: Acting(state, steps, acting.key)
    )
    return after, Step(world.observe(state), reward, termination, truncation, world.observe(after.state))


class Rollout(NamedTuple):
    """Whole episodes, one a row, padded to the horizon.

    Attributes:
        observations: float32, where each action was taken.
        actions: in the world's own units; integers for discrete actions.
        rewards: float32.
        next_observations: float32, true successors.
        terminations: the world ended at this step.
        truncations: the time limit ended the episode at this step.
        valid: whether this step happened; false after the episode's end, where the other columns mean nothing.
    """

    observations: Float[Array, "episode step observation"]
    actions: Shaped[Array, "episode step ..."]
    rewards: Float[Array, "episode step"]
    next_observations: Float[Array, "episode step observation"]
    terminations: Bool[Array, "episode step"]
    truncations: Bool[Array, "episode step"]
    valid: Bool[Array, "episode step"]

    def returns(self) -> Float[Array, " episode"]:
        """Undiscounted return of each episode."""
        return jnp.sum(self.rewards * self.valid, axis=1)

    def lengths(self) -> Int[Array, " episode"]:
        """Steps of each episode."""
        return jnp.sum(self.valid, axis=1, dtype=jnp.int32)

    def steps(self) -> dict[str, Any]:
        """The steps that happened, episode after episode, as NumPy columns (without ``valid``)."""
        columns = jax.device_get(self)._asdict()
        valid = columns.pop("valid")
        return {name: column[valid] for name, column in columns.items()}


def rollout(
    world: FunctionalWorld, policy: Policy, key: PRNGKeyArray, episodes: int, from_state: bool = False
) -> Rollout:
    """Run ``episodes`` independent episodes, each to its termination or the world's horizon, compiled.

    Args:
        world: the world.
        policy: ``policy(key, observation) -> action``. Compiled once for each function object: pass the same one again
            rather than a new lambda.
        key: random key; the same key gives the same episodes.
        episodes: how many.
        from_state: call ``policy(key, state)`` with the world's state instead, as scripted controllers need.
    """
    return _rollout(world, policy, key, episodes, from_state)


@partial(jax.jit, static_argnums=(0, 1, 3, 4))
def _rollout(world: FunctionalWorld, policy: Policy, key: PRNGKeyArray, episodes: int, from_state: bool) -> Rollout:
    def one_step(carry, inputs):
        (state, alive), (step, action_key) = carry, inputs
        observation = world.observe(state)
        action = policy(action_key, state if from_state else observation)
        state, reward, terminated = world.step(state, action)
        truncated = (step + 1 == world.horizon) & ~terminated
        row = (observation, action, reward, world.observe(state), terminated & alive, truncated & alive, alive)
        return (state, alive & ~terminated), row

    def one_episode(key):
        reset_key, actions_key = jax.random.split(key)
        inputs = (jnp.arange(world.horizon), jax.random.split(actions_key, world.horizon))
        return Rollout(*jax.lax.scan(one_step, (world.reset(reset_key), jnp.ones((), bool)), inputs)[1])

    return jax.vmap(one_episode)(jax.random.split(key, episodes))


@cache
def noisy_controller(world: FunctionalWorld, noise: float = 0.0, random: float = 0.0) -> Policy:
    """The world's scripted controller, disturbed: a policy for ``rollout(…, from_state=True)``.

    Args:
        world: the world whose controller acts.
        noise: standard deviation of Gaussian noise added to continuous actions, in the action's own units; the sum is
            clipped to the action bounds. Unused for discrete actions.
        random: probability of a uniform random action in place of the controller's.
    """
    return partial(_noisy_action, world, noise, random)


@cache
def uniform_policy(world: FunctionalWorld) -> Policy:
    """Uniform random actions within the world's bounds."""
    return partial(_uniform_action, world)


def _uniform_action(world: FunctionalWorld, key: PRNGKeyArray, _: Any) -> Shaped[Array, "..."]:
    space = world.spec.action
    if isinstance(space, Discrete):
        return jax.random.randint(key, (), 0, space.n)
    low, high = (jnp.asarray(bound, jnp.float32).reshape(space.shape) for bound in (space.low, space.high))
    return jax.random.uniform(key, space.shape, minval=low, maxval=high)


def _noisy_action(
    world: FunctionalWorld, noise: float, random: float, key: PRNGKeyArray, state: State
) -> Shaped[Array, "..."]:
    noise_key, choice_key, uniform_key = jax.random.split(key, 3)
    action, space = world.controller(state), world.spec.action
    if noise and not isinstance(space, Discrete):
        low, high = (jnp.asarray(bound, jnp.float32).reshape(space.shape) for bound in (space.low, space.high))
        action = jnp.clip(action + noise * jax.random.normal(noise_key, space.shape), low, high)
    if random:
        uniform = _uniform_action(world, uniform_key, state)
        action = jnp.where(jax.random.uniform(choice_key) < random, uniform, action)
    return action
