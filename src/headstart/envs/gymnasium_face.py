"""Any functional world as a Gymnasium environment; importing this registers them as ``headstart/<name>-v0``."""

from __future__ import annotations

from functools import cache
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from headstart.core.errors import UsageError
from headstart.core.specs import Box, Discrete
from headstart.envs.functional import FunctionalWorld


class FunctionalEnv(gymnasium.Env[np.ndarray, Any]):
    """A ``gymnasium.Env`` over a functional world. It truncates at the world's horizon by itself.

    Args:
        world: a functional world, or the name of a registered one.
        options: fields of the world, where it is given by name.
    """

    def __init__(self, world: FunctionalWorld | str, **options: Any):
        if isinstance(world, str):
            from headstart.envs.registry import functional

            world = functional(world, **options)
        elif options:
            raise UsageError(f"options {sorted(options)} go with a world's name; {world.name!r} is made already")
        self.world = world
        self.observation_space = _space(world.spec.observation)
        self.action_space = _space(world.spec.action)
        self._state, self._steps = None, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start an episode. Returns the observation (float32) and an empty dictionary."""
        super().reset(seed=seed)
        # Committed to the CPU, where single steps are fastest; later steps follow the state there.
        key = jax.device_put(jax.random.key(int(self.np_random.integers(2**32))), jax.devices("cpu")[0])
        self._state, observation = _compiled(self.world)[0](key)
        self._steps = 0
        return np.array(observation), {}

    def step(self, action: Any):
        """Act once. Returns (observation, reward, terminated, truncated, {})."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        self._state, observation, reward, terminated = _compiled(self.world)[1](self._state, action)
        self._steps += 1
        terminated = bool(terminated)
        truncated = self._steps >= self.world.horizon and not terminated
        return np.array(observation), float(reward), terminated, truncated, {}

    def controller(self) -> np.ndarray:
        """The scripted controller's action here, without noise."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("call reset() before controller()")
        return np.array(_compiled(self.world)[2](self._state))

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything that later steps depend on: the world's state and the steps taken, as arrays."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("call reset() before get_state()")
        leaves = [jax.random.key_data(leaf) if _is_key(leaf) else leaf for leaf in jax.tree.leaves(self._state)]
        arrays = {f"leaf-{index}": np.array(leaf) for index, leaf in enumerate(leaves)}
        return arrays | {"elapsed_steps": np.array(self._steps)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go back to a state from ``get_state`` of an environment over an equal world."""
        if self._state is None:
            self.reset(seed=0)
        now, structure = jax.tree.flatten(self._state)
        device = jax.devices("cpu")[0]
        leaves = []
        for index, leaf in enumerate(now):
            array = jax.device_put(state[f"leaf-{index}"], device)
            leaves.append(jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf)) if _is_key(leaf) else array)
        self._state, self._steps = jax.tree.unflatten(structure, leaves), int(state["elapsed_steps"])


def _space(space: Box | Discrete) -> gymnasium.Space:
    if isinstance(space, Discrete):
        return gymnasium.spaces.Discrete(space.n)
    low, high = (np.asarray(bound, np.float32).reshape(space.shape) for bound in (space.low, space.high))
    return gymnasium.spaces.Box(low, high, dtype=np.float32)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


@cache
def _compiled(world: FunctionalWorld):
    def reset(key):
        state = world.reset(key)
        return state, world.observe(state)

    def step(state, action):
        state, reward, terminated = world.step(state, action)
        return state, world.observe(state), reward, terminated

    return jax.jit(reset), jax.jit(step), jax.jit(world.controller)


def gymnasium_id(name: str) -> str:
    """The Gymnasium id of a registered functional world."""
    return f"headstart/{name}-v0"


def _register() -> None:
    from headstart.envs.registry import FUNCTIONAL_WORLDS

    for name in FUNCTIONAL_WORLDS.names():
        if gymnasium_id(name) not in gymnasium.registry:
            gymnasium.register(gymnasium_id(name), f"{__name__}:FunctionalEnv", kwargs={"world": name})


_register()
