"""Read and restore the whole state of a Gymnasium environment, in its middle."""

from __future__ import annotations

import copy
import hashlib
import importlib
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
from gymnasium import wrappers

from headstart.core.errors import UsageError
from headstart.envs.gymnasium_face import FunctionalEnv

# What MuJoCo derives from its state, as it stood before the last integration: Gymnasium's observations and rewards
# read some of it, so it belongs to an exact restart.
_DERIVED = (
    *("xpos", "xquat", "xmat", "xipos", "ximat", "geom_xpos", "geom_xmat", "site_xpos", "site_xmat"),
    *("subtree_com", "cinert", "cvel", "cacc", "cfrc_int", "cfrc_ext"),
    *("qacc", "qfrc_actuator", "qfrc_constraint", "actuator_force", "sensordata"),
)
_STATELESS = (
    wrappers.OrderEnforcing,
    wrappers.PassiveEnvChecker,
    wrappers.TransformObservation,  # and what derives from it: FlattenObservation, FilterObservation, …
    wrappers.TransformAction,
    wrappers.TransformReward,
)
_STATISTICS = (wrappers.NormalizeObservation, wrappers.NormalizeReward)


# Entries of a state that count steps towards a time limit: a wrapper's, and an environment's own.
TIME_LIMITS = ("time-limit", "elapsed_steps")


@runtime_checkable
class StateAccess(Protocol):
    """Something whose state can be read, and later set so that it behaves exactly as it did from there."""

    def get_state(self) -> Any:
        """The state; a dictionary of arrays where it can be written to a file (``elapsed_steps`` its time limit)."""

    def set_state(self, state: Any) -> None:
        """Go back to a state from ``get_state``."""


class ArrayState:
    """The state of an environment as arrays: its physics, or its own ``get_state``, and the time limit's count.

    Args:
        environment: what is acted in, with no wrapper that has a state of its own but ``TimeLimit``.
        inner: access to the innermost environment, in dictionaries of arrays.
    """

    def __init__(self, environment: gymnasium.Env, inner: StateAccess):
        self.environment, self._inner = environment, inner

    def get_state(self) -> dict[str, np.ndarray]:
        """The arrays; ``time-limit`` holds the steps that a ``TimeLimit`` wrapper has counted."""
        limit = time_limit(self.environment)
        counted = {} if limit is None else {TIME_LIMITS[0]: np.array(limit._elapsed_steps or 0)}
        return {name: np.array(array) for name, array in self._inner.get_state().items()} | counted

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restore the arrays."""
        self._inner.set_state({name: array for name, array in state.items() if name != TIME_LIMITS[0]})
        limit = time_limit(self.environment)
        if limit is not None and TIME_LIMITS[0] in state:
            limit._elapsed_steps = int(state[TIME_LIMITS[0]])


class MujocoPhysics:
    """The full physics of a MuJoCo environment of Gymnasium's."""

    def __init__(self, environment: Any):
        self._mujoco, self._environment = importlib.import_module("mujoco"), environment
        self._kind = self._mujoco.mjtState.mjSTATE_INTEGRATION  # with the solver's warm start, which steps depend on

    def get_state(self) -> dict[str, np.ndarray]:
        """Integration state and derived quantities, float64."""
        model, data = self._environment.model, self._environment.data
        physics = np.empty(self._mujoco.mj_stateSize(model, self._kind))
        self._mujoco.mj_getState(model, data, physics, self._kind)
        return {"physics": physics} | {name: np.array(getattr(data, name)) for name in _DERIVED}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restore both."""
        model, data = self._environment.model, self._environment.data
        self._mujoco.mj_setState(model, data, state["physics"], self._kind)
        self._mujoco.mj_forward(model, data)
        self._mujoco.mj_setState(model, data, state["physics"], self._kind)
        for name in _DERIVED:
            getattr(data, name)[:] = state[name]


class CopiedState:
    """The state of an environment as a deep copy of it, random generators included; cannot be written to a file.

    Args:
        environment: what to copy. ``set_state`` replaces the attribute ``environment``, so act through that.
    """

    def __init__(self, environment: gymnasium.Env):
        self.environment = environment

    def get_state(self) -> gymnasium.Env:
        """A deep copy.

        Raises:
            UsageError: the environment cannot be copied, as with an open rendering context.
        """
        try:
            return copy.deepcopy(self.environment)
        except Exception as error:
            raise UsageError(
                f"the state of {self.environment} cannot be copied ({type(error).__name__}: {error}); give it methods "
                "get_state() and set_state(state)"
            ) from error

    def set_state(self, state: gymnasium.Env) -> None:
        """Take a copy of the copy as the environment."""
        self.environment = copy.deepcopy(state)


def state_access(environment: gymnasium.Env) -> ArrayState | CopiedState:
    """The best access there is to an environment's state: arrays, or else deep copies.

    Raises:
        UsageError: running statistics would be restored with the state, or nothing gives access to it.
    """
    inside = _wrappers(environment)
    for layer in inside:
        if isinstance(layer, _STATISTICS):
            raise UsageError(
                f"{type(layer).__name__} keeps running statistics that must not go back with a restored state; wrap "
                "it around the environment that restores, not inside"
            )
    inner = _inner_access(environment.unwrapped)
    if inner is not None and all(isinstance(layer, (wrappers.TimeLimit, *_STATELESS)) for layer in inside):
        return ArrayState(environment, inner)
    access = CopiedState(environment)
    access.get_state()  # refuse now what could not be copied later
    return access


def time_limit(environment: gymnasium.Env) -> wrappers.TimeLimit | None:
    """The environment's ``TimeLimit`` wrapper, if it has one."""
    return next((layer for layer in _wrappers(environment) if isinstance(layer, wrappers.TimeLimit)), None)


def checksum(environment: gymnasium.Env) -> str:
    """A digest of what the environment is: class, spaces, options and physical model; 16 hexadecimal digits."""
    inner: Any = environment.unwrapped
    described = f"{type(inner).__module__}:{type(inner).__qualname__} {inner.observation_space} {inner.action_space} "
    if isinstance(environment.unwrapped, FunctionalEnv):
        described += repr(environment.unwrapped.world)
    elif inner.spec is not None:
        described += repr(sorted((key, value) for key, value in inner.spec.kwargs.items() if key != "render_mode"))
    digest = hashlib.sha256(described.encode())
    if _is_mujoco(inner):
        mujoco = importlib.import_module("mujoco")
        model = np.empty(mujoco.mj_sizeModel(inner.model), np.uint8)
        mujoco.mj_saveModel(inner.model, None, model)
        digest.update(model.tobytes())
    return digest.hexdigest()[:16]


def _wrappers(environment: gymnasium.Env) -> list[gymnasium.Env]:
    layers = []
    while isinstance(environment, gymnasium.Wrapper):
        layers.append(environment)
        environment = environment.env
    return layers


def _inner_access(inner: Any) -> StateAccess | None:
    if _is_mujoco(inner):
        # Only Gymnasium's own: others may keep parts of their state in Python, or in the model.
        return MujocoPhysics(inner) if type(inner).__module__.startswith("gymnasium.") else None
    return inner if isinstance(inner, StateAccess) else None


def _is_mujoco(inner: Any) -> bool:
    return all(hasattr(inner, name) for name in ("model", "data", "do_simulation"))
