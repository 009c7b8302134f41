"""Worlds of EnvPool: the copies step in parallel in C++, with the same exact successors."""

from __future__ import annotations

import importlib.util
import math
import warnings
from functools import cache
from typing import Any, NoReturn

import gymnasium
import numpy as np
from jaxtyping import Float, Shaped

from headstart.core.errors import UsageError, WorldError
from headstart.core.registry import unknown
from headstart.core.specs import Box, Spec
from headstart.envs.worlds import Transition, Worlds, actions_shape


@cache
def envpool_ids() -> frozenset[str]:
    """The ids that the installed EnvPool has; empty where it is not installed."""
    if importlib.util.find_spec("envpool") is None:
        return frozenset()
    return frozenset(importlib.import_module("envpool").list_all_envs())


class EnvPoolWorlds(Worlds):
    """EnvPool environments. Episodes follow from ``seed``, but cannot be restored in their middle.

    Args:
        name: an id of EnvPool's with Box observations and Box or Discrete actions.
        count: how many.
        seed: EnvPool's seed.
        options: passed to EnvPool, such as ``num_threads`` or ``max_episode_steps``.

    Raises:
        UsageError: EnvPool is not installed, has no such id, or its spaces are not those of Gymnasium's world of the
            same id.
    """

    def __init__(self, name: str, count: int = 1, seed: int = 0, **options: Any):
        if importlib.util.find_spec("envpool") is None:
            raise UsageError("EnvPool is not installed: pip install 'headstart[envpool]', or leave out engine=envpool")
        if name not in envpool_ids():
            raise unknown("world of EnvPool", name, envpool_ids(), "Others need engine=gymnasium.")
        if count < 1 or seed < 0:
            raise UsageError(f"count={count} and seed={seed}; expected at least one world and a non-negative seed")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*precision lowered.*")
            self._pool = importlib.import_module("envpool").make_gymnasium(name, num_envs=count, seed=seed, **options)
            self.spec = Spec.from_spaces(self._pool.observation_space, self._pool.action_space)
        self.name, self.count = name, count
        _require_equal_spaces(name, self.spec)
        self._actions_shape = actions_shape(self.spec, count)
        self._action_dtype = np.dtype(self._pool.action_space.dtype)
        self._episodes, self._lengths = np.full(count, -1, np.int64), np.zeros(count, np.int64)
        self._ready = self._checked = False

    def reset(self) -> Float[np.ndarray, "world ..."]:
        """Start the next episode in every world."""
        observations, _ = self._pool.reset()
        self._episodes += 1
        self._lengths[:] = 0
        self._ready, self._checked = True, False
        return np.array(observations, np.float32)

    def step(self, actions: Shaped[np.ndarray, "world ..."]) -> Transition:
        """Act once in every world; see ``Worlds.step``."""
        self._refuse_unusable(actions)
        self._ready = False
        observed, rewarded, terminations, truncations, _ = self._pool.step(np.asarray(actions, self._action_dtype))
        successors, rewards = np.array(observed, np.float32), np.array(rewarded, np.float32)
        if not (math.isfinite(np.vdot(successors, successors)) and math.isfinite(rewards.sum())):
            self._refuse_unless_finite(successors, rewards, np.asarray(actions))
        self._lengths += 1
        ended = np.flatnonzero(terminations | truncations).astype(np.int32)
        observations = successors
        if len(ended):
            # Left alone, EnvPool would spend the next step on the reset, ignoring its action.
            first, information = self._pool.reset(ended)
            observations = successors.copy()
            observations[information["env_id"]] = first
            self._episodes[ended] += 1
            self._lengths[ended] = 0
        self._ready = True
        return Transition(successors, rewards, np.array(terminations), truncations & ~terminations, observations)

    def save_state(self) -> dict[str, np.ndarray]:
        """Nothing: EnvPool gives no access to its states or to the seeds of single episodes."""
        return {}

    def load_state(self, state: dict[str, np.ndarray]) -> NoReturn:
        """Refused, as nothing was saved; a run that is resumed begins new episodes.

        Raises:
            WorldError: always.
        """
        raise WorldError(f"EnvPool cannot go on with {self.name} in the middle of an episode; Gymnasium's worlds can")

    def close(self) -> None:
        """Stop EnvPool's threads."""
        self._pool.close()

    def _where(self, index: int) -> str:
        return f"{self.name}, world {index}, step {self._lengths[index] + 1} of episode {self._episodes[index]},"


def _require_equal_spaces(name: str, spec: Spec) -> None:
    if name not in gymnasium.registry:
        return
    environment = gymnasium.make(name)
    theirs = Spec.from_spaces(environment.observation_space, environment.action_space)
    environment.close()
    pairs = ((spec.observation, theirs.observation), (spec.action, theirs.action))
    if not all(_equal(ours, other) for ours, other in pairs):
        raise UsageError(f"EnvPool's {name} has the spaces {spec}; Gymnasium's has {theirs}: use engine=gymnasium")


def _equal(left: Any, right: Any) -> bool:
    if not (isinstance(left, Box) and isinstance(right, Box)):
        return left == right
    # Bounds beyond float32 stand for none.
    ours, theirs = (np.clip([box.low, box.high], -3e38, 3e38) for box in (left, right))
    return left.shape == right.shape and np.allclose(ours, theirs)
