"""Finite worlds, seen or hidden, as Gymnasium environments; importing this registers ``headstart/finite-<name>-v0``.

For learners of other libraries, and of the control wing, to be tried where the optimum is known. Observations and
actions are ``Discrete``; what is received is scaled by nothing, and an episode of the world's horizon ends in
``terminated``, as nothing follows it.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from headstart.core.errors import UsageError
from headstart.finite.mdp import DiscountedMDP, FiniteMDP
from headstart.finite.pomdp import FinitePOMDP

HIDDEN = {
    "reveal-lock": "reveal",
    "reveal-lock-free": "free",
}
"""Partially observable worlds that can be named, and what a ``RevealLock`` shows in each."""


class FiniteEnv(gymnasium.Env[Any, int]):
    """A ``gymnasium.Env`` over a finite world.

    Args:
        world: ``FiniteMDP``, ``FinitePOMDP``, or a name with options such as ``river-swim:states=10`` or
            ``reveal-lock:length=4`` (options of ``RevealLock.random``, and its ``seed``).
        show_step: whether observations are the pair (step, what is seen), as optimal policies of a finite horizon need;
            otherwise what is seen alone.

    Raises:
        UsageError: the world has no episodes, or its name or an option is unknown.
    """

    def __init__(self, world: FiniteMDP | FinitePOMDP | str, show_step: bool = False):
        made = named(world) if isinstance(world, str) else world
        if isinstance(made, DiscountedMDP) or not isinstance(made, FiniteMDP | FinitePOMDP):
            raise UsageError(f"the world is a {type(made).__name__}; environments need episodes: give it a horizon")
        self.world, self.show_step = made, show_step
        seen = made.observations if isinstance(made, FinitePOMDP) else made.states
        place = gymnasium.spaces.Discrete(seen)
        self.observation_space: gymnasium.Space = place
        if show_step:
            self.observation_space = gymnasium.spaces.Tuple((gymnasium.spaces.Discrete(made.horizon), place))
        self.action_space: gymnasium.Space = gymnasium.spaces.Discrete(made.actions)
        self._state, self._step = -1, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start an episode. Returns the observation and an empty dictionary."""
        super().reset(seed=seed)
        self._state, self._step = self._draw(np.asarray(self.world.initial)), 0
        return self._observation(), {}

    def step(self, action: int):
        """Act once. Returns (observation, reward, terminated, False, {}); after the last step the observation is 0.

        Raises:
            UsageError: no such action.
        """
        if self._state < 0:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        if not self.action_space.contains(np.int64(action)):
            raise UsageError(f"action is {action!r}; expected a whole number from 0 to {self.world.actions - 1}")
        world, step, where = self.world, self._step, (self._state, int(action))
        if isinstance(world, FinitePOMDP):
            transition, reward = world.transition[step], float(world.reward[step][where])
        else:
            transition, means = world.at(step)
            reward = float(means[where])
            if world.reward_noise == "bernoulli":
                reward = float(self.np_random.random() < reward)
        self._state, self._step = self._draw(np.asarray(transition[where])), step + 1
        terminated = self._step == world.horizon
        observation = self._observation()
        if terminated:
            self._state = -1
        return observation, reward, terminated, False, {}

    def _observation(self) -> Any:
        if self._step == self.world.horizon:
            seen = 0 if isinstance(self.world, FinitePOMDP) else self._state
            return (self.world.horizon - 1, seen) if self.show_step else seen
        seen = self._state
        if isinstance(self.world, FinitePOMDP):
            seen = self._draw(self.world.emission[self._step, self._state])
        return (self._step, seen) if self.show_step else seen

    def _draw(self, probabilities: np.ndarray) -> int:
        cumulative = np.cumsum(probabilities, dtype=np.float64)
        return int((cumulative <= self.np_random.random() * cumulative[-1]).sum())


def named(reference: str) -> FiniteMDP | FinitePOMDP | DiscountedMDP:
    """A world by its name and options, hidden ones (``HIDDEN``) among them; errors as for ``registry.make_world``."""
    from headstart.core.registry import unknown
    from headstart.finite.registry import WORLDS, make_world
    from headstart.finite.reveal_lock import RevealLock

    name, _, listed = reference.partition(":")
    if name not in HIDDEN:
        if name not in WORLDS and not reference.endswith(".npz"):
            raise unknown("finite world", name, [*WORLDS.names(), *HIDDEN])
        return make_world(reference)
    kinds = {"leaves": int, "actions": int, "length": int, "pairs": int, "sigma": float, "epsilon": float, "seed": int}
    options: dict[str, Any] = {}
    for part in filter(None, listed.split(",")):
        key, _, value = part.partition("=")
        if key not in kinds:
            raise unknown(f"option of {name}", key, kinds)
        try:
            options[key] = kinds[key](value)
        except ValueError as error:
            raise UsageError(f"{key} of {name} is {value!r}; expected a {kinds[key].__name__}") from error
    generator = np.random.default_rng(options.pop("seed", 0))
    access: Any = HIDDEN[name]
    return RevealLock.random(generator, **options, access=access).world


def gymnasium_id(name: str) -> str:
    """The Gymnasium id of a named finite world."""
    return f"headstart/finite-{name}-v0"


def _register() -> None:
    from headstart.finite.registry import WORLDS

    for name in [*WORLDS.names(), *HIDDEN]:
        if gymnasium_id(name) not in gymnasium.registry:
            gymnasium.register(gymnasium_id(name), f"{__name__}:FiniteEnv", kwargs={"world": name})


_register()
