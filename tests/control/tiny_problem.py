"""A problem small enough to learn in a second: the best action is half the first coordinate of the observation."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from headstart.control.method import Method, State
from headstart.core.specs import Box, Spec
from headstart.data.batch import Batch

SPEC = Spec(Box.uniform((3,), -1, 1), Box.uniform((2,), -1, 1))


def quick(function: Callable[..., Any]) -> Callable[..., Any]:
    """``jax.jit`` that compiles in half the time, to slower programs."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


@lru_cache
def initial(method: Method, seed: int = 0) -> State:
    """The method's first state."""
    return quick(lambda key: method.init(key, SPEC))(jax.random.key(seed))


def reward(observations: Any, actions: Any) -> Any:
    """Highest, at 0, where both action dimensions are half the first coordinate."""
    return -((actions - observations[..., :1] / 2) ** 2).sum(-1)


def recorded(seed: int, *shape: int, terminated: bool = False) -> Batch:
    """Transitions with uniform actions; one-step episodes where terminated, else going on at random."""
    random = np.random.default_rng(seed)
    observations, following = random.uniform(-1, 1, (2, *shape, 3)).astype(np.float32)
    actions = random.uniform(-1, 1, (*shape, 2)).astype(np.float32)
    rewards = reward(observations, actions)
    terminations = np.full(shape, float(terminated), np.float32)
    discounts = np.full(shape, 0.9, np.float32)
    return Batch(observations, actions, rewards, following, terminations, discounts, rewards)


def fresh(key: Any, *shape: int, low: float = -1.0, high: float = 1.0) -> Batch:
    """One-step episodes, with actions uniform between ``low`` and ``high``, drawn inside a compiled program."""
    uniform = jax.random.uniform(key, (*shape, 5))
    observations, actions = 2 * uniform[..., :3] - 1, low + (high - low) * uniform[..., 3:]
    rewards = reward(observations, actions)
    ones = jnp.ones(shape)
    return Batch(observations, actions, rewards, observations, ones, ones, rewards)


def regret(method: Method, state: State) -> float:
    """How much reward greedy actions leave on the table, on average."""
    observations = np.random.default_rng(99).uniform(-1, 1, (256, 3)).astype(np.float32)
    return -float(reward(observations, method.act(state, jnp.asarray(observations), jax.random.key(0), False)).mean())


def assert_equal(a: Any, b: Any) -> None:
    """Bit for bit."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def assert_close(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Up to rounding."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)
