"""Worlds on the host, stepped together: exact successors, explicit seeds, and states that can be saved."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import gymnasium
import numpy as np
from jaxtyping import Bool, Float, Shaped

from headstart.core.errors import UsageError, WorldError
from headstart.core.specs import Discrete, Spec


class Transition(NamedTuple):
    """One step of every world.

    Attributes:
        next_observations: float32, the true successors, also where an episode ended there.
        rewards: float32.
        terminations: the world truly ended.
        truncations: an episode was cut short (false where it also terminated).
        observations: float32, where to act next: the successors, or a fresh episode's first observation.
    """

    next_observations: Float[np.ndarray, "world ..."]
    rewards: Float[np.ndarray, " world"]
    terminations: Bool[np.ndarray, " world"]
    truncations: Bool[np.ndarray, " world"]
    observations: Float[np.ndarray, "world ..."]


@runtime_checkable
class CountsSteps(Protocol):
    """An environment whose resets depend on how much has been acted, as a curriculum's do."""

    def set_total_steps(self, steps: int) -> None:
        """Hear, before a reset, how many steps all worlds have taken together."""


class Worlds(abc.ABC):
    """``count`` independent copies of a world, acted in together.

    Attributes:
        name: what the world was made from.
        count: how many copies.
        spec: shapes and bounds of one copy's observations and actions.
    """

    name: str
    count: int
    spec: Spec
    _actions_shape: tuple[int, ...]
    _ready: bool  # whether a step may follow
    _checked: bool  # whether actions' bounds have been looked at since the reset

    @abc.abstractmethod
    def reset(self) -> Float[np.ndarray, "world ..."]:
        """Start the next episode in every world.

        Raises:
            WorldError: a world raised, or returned something malformed or not finite.
        """

    @abc.abstractmethod
    def step(self, actions: Shaped[np.ndarray, "world ..."]) -> Transition:
        """Act once in every world, in the world's own units; start a new episode where one ended.

        Raises:
            UsageError: the actions do not fit the action space.
            WorldError: a world raised or returned something not finite. The state from before this step can still be
                saved; to go on acting, ``reset`` or ``load_state`` first.
        """

    @abc.abstractmethod
    def save_state(self) -> dict[str, np.ndarray]:
        """Arrays from which ``load_state`` continues bit for bit."""

    @abc.abstractmethod
    def load_state(self, state: dict[str, np.ndarray]) -> Float[np.ndarray, "world ..."]:
        """Continue from a saved state. Returns the observations to act on next.

        Raises:
            UsageError: the state is of another number of worlds or other spaces.
            WorldError: the world did not return to where it was.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Release what the worlds hold."""

    @abc.abstractmethod
    def _where(self, index: int) -> str:
        """The world, step and episode that an error is about to be raised for."""

    def _refuse_unusable(self, actions: Any) -> None:
        """Raise where actions cannot be acted on; bounds are looked at only after a reset, for their cost."""
        if not self._ready:
            raise UsageError(f"{self.name}: call reset() or load_state() before step()")
        if np.shape(actions) != self._actions_shape:
            raise UsageError(f"{self.name}: actions of shape {np.shape(actions)}; expected {self._actions_shape}")
        if not self._checked:
            check_actions(self.spec, actions, self.name)
            self._checked = True

    def _refuse_unless_finite(self, observations: np.ndarray, rewards: np.ndarray, actions: np.ndarray) -> None:
        for index in range(self.count):
            numbers = observations[index].ravel()
            bad = np.flatnonzero(~np.isfinite(numbers))
            if not len(bad) and np.isfinite(rewards[index]):
                continue
            if not np.all(np.isfinite(actions[index])):
                problem = f"was given an action that is not finite: {actions[index]}"
            elif len(bad):
                found = ", ".join(f"element {element} is {numbers[element]}" for element in bad[:4])
                problem = f"returned an observation that is not finite: {found}"
            else:
                problem = f"returned the reward {rewards[index]}"
            raise WorldError(f"{self._where(index)} {problem}")


def episode_seed(seed: int, world: int, episode: int) -> int:
    """The seed, below 2^31, that an episode is reset with: a function of the run's seed, the world and its count."""
    return int(np.random.SeedSequence((seed, world, episode)).generate_state(1)[0] >> 1)


class GymnasiumWorlds(Worlds):
    """Gymnasium environments in this process.

    Every episode is reset with a seed of its own, so a state is the episodes' seeds and the actions since: it is
    restored by replaying them, in any environment whose randomness comes from its seed. An environment that
    ``CountsSteps`` is told before each reset how many steps all worlds have taken together.

    Args:
        factory: makes one environment, with Box observations and Box or Discrete actions.
        count: how many.
        seed: non-negative; together with world and episode number it seeds every episode.
        name: what to call the world in errors.

    Raises:
        UsageError: spaces of another kind.
    """

    def __init__(self, factory: Callable[[], gymnasium.Env], count: int = 1, seed: int = 0, name: str = "world"):
        if count < 1 or seed < 0:
            raise UsageError(f"count={count} and seed={seed}; expected at least one world and a non-negative seed")
        self.environments = [factory() for _ in range(count)]
        self.name, self.count, self.seed = name, count, seed
        space = self.environments[0].action_space
        self.spec = Spec.from_spaces(self.environments[0].observation_space, space)
        self._actions_shape = actions_shape(self.spec, count)
        self._action_dtype = np.dtype(np.int64 if self.spec.discrete else np.float32)
        self._environment_dtype = self._action_dtype if self.spec.discrete else np.dtype(space.dtype or np.float32)
        self._shape = (count, *self.spec.observation.shape)
        self._clock = 0  # steps of each world so far
        self._episodes = [-1] * count
        self._starts = [0] * count  # the clock when the running episodes started
        self._log: list[np.ndarray] = []  # the latest actions, back to the oldest running episode's start
        self._observations = np.zeros(self._shape, np.float32)
        self._ready = self._checked = False

    def reset(self, episode: int | None = None) -> Float[np.ndarray, "world ..."]:
        """Start an episode in every world: the next one, or the one of the given number."""
        episodes = [number + 1 if episode is None else episode for number in self._episodes]
        observations = np.empty(self._shape, np.float32)
        self._ready = False
        for index, number in enumerate(episodes):
            observations[index] = self._begin(index, number, self._clock)
        self._episodes, self._starts = episodes, [self._clock] * self.count
        self._log = []
        self._observations = observations.copy()
        self._ready, self._checked = True, False
        return observations

    def step(self, actions: Shaped[np.ndarray, "world ..."]) -> Transition:
        """Act once in every world; see ``Worlds.step``."""
        self._refuse_unusable(actions)
        actions = np.array(actions, self._action_dtype)  # a copy, for the caller may reuse the array
        outer = actions if self._environment_dtype == self._action_dtype else actions.astype(self._environment_dtype)
        # NumPy's reductions cost microseconds each, so what can be asked of Python numbers is.
        numbers = np.empty(self._observations.size, np.float32)
        successors = numbers.reshape(self._shape)
        rewards = np.empty(self.count, np.float32)
        terminations, truncations = np.zeros(self.count, bool), np.zeros(self.count, bool)
        ended: list[int] = []
        reward_sum, index = 0.0, 0
        self._ready = False
        try:
            for index, environment in enumerate(self.environments):
                successors[index], reward, terminated, truncated, _ = environment.step(outer[index])
                rewards[index] = reward
                reward_sum += float(reward)
                if terminated or truncated:
                    ended.append(index)
                    terminations[index], truncations[index] = terminated, not terminated
        except Exception as error:
            raise WorldError(f"{self._where(index)} raised {type(error).__name__}: {error}") from error
        # A finite sum of squares proves every number finite; the exact check is for the rare overflow.
        if not (math.isfinite(numbers.dot(numbers)) and math.isfinite(reward_sum)):
            self._refuse_unless_finite(successors, rewards, actions)
        observations = successors
        if ended:
            observations = successors.copy()
            for index in ended:
                observations[index] = self._begin(index, self._episodes[index] + 1, self._clock + 1)
        self._clock += 1
        self._log.append(actions)
        if ended:
            self._forget(ended)
        self._observations = observations.copy()
        self._ready = True
        return Transition(successors, rewards, terminations, truncations, observations)

    def save_state(self) -> dict[str, np.ndarray]:
        """Seeds and actions since the resets: a few kilobytes for each world."""
        none = np.empty((0, *self._actions_shape[1:]), self._action_dtype)
        taken = [[row[index] for row in self._running_log(index)] for index in range(self.count)]
        return {
            "seed": np.array(self.seed, np.int64),
            "clock": np.array(self._clock, np.int64),
            "episodes": np.array(self._episodes, np.int64),
            "starts": np.array(self._starts, np.int64),
            "actions": np.concatenate([none, *(np.stack(rows) for rows in taken if rows)]),
            "observations": self._observations.copy(),
        }

    def load_state(self, state: dict[str, np.ndarray]) -> Float[np.ndarray, "world ..."]:
        """Reset every world with its episode's seed and replay the actions taken since."""
        expected = {name: array.shape[1:] for name, array in self.save_state().items()}
        found = {name: np.shape(array)[1:] for name, array in state.items()}
        if found != expected or len(state["episodes"]) != self.count:
            shapes = ", ".join(f"{name} {list(np.shape(array))}" for name, array in state.items())
            raise UsageError(f"the saved state does not fit {self.count} of {self.name}: it has {shapes}")
        self._ready = self._checked = False
        self.seed, self._clock = int(state["seed"]), int(state["clock"])
        self._episodes, self._starts = state["episodes"].tolist(), state["starts"].tolist()
        self._observations = np.array(state["observations"], np.float32)
        if self._episodes[0] < 0:
            return self._observations.copy()
        lengths = [self._clock - begun for begun in self._starts]
        log = np.zeros((max(lengths), *self._actions_shape), self._action_dtype)
        offsets = np.cumsum([0, *lengths])
        for index, length in enumerate(lengths):
            actions = np.asarray(state["actions"][offsets[index] : offsets[index + 1]], self._action_dtype)
            log[len(log) - length :, index] = actions
            self._replay(index, actions)
        self._log = list(log)
        self._ready = True
        return self._observations.copy()

    def close(self) -> None:
        """Close every environment."""
        for environment in self.environments:
            environment.close()

    def _begin(self, index: int, episode: int, clock: int) -> np.ndarray:
        environment = self.environments[index]
        where = f"{self.name}, world {index}, at the reset of episode {episode}"
        try:
            if isinstance(environment, CountsSteps):
                environment.set_total_steps(clock * self.count)
            observation, _ = environment.reset(seed=episode_seed(self.seed, index, episode))
        except Exception as error:
            raise WorldError(f"{where}, raised {type(error).__name__}: {error}") from error
        observation = np.asarray(observation)
        if observation.shape != self.spec.observation.shape:
            raise WorldError(
                f"{where}, gave an observation of shape {observation.shape}; its observation space says "
                f"{self.spec.observation.shape}"
            )
        if not np.all(np.isfinite(observation)):
            raise WorldError(f"{where}, gave an observation that is not finite: {observation.ravel()[:8]}")
        return observation

    def _running_log(self, index: int) -> list[np.ndarray]:
        return self._log[len(self._log) - (self._clock - self._starts[index]) :]

    def _forget(self, ended: list[int]) -> None:
        for index in ended:
            self._episodes[index] += 1
            self._starts[index] = self._clock
        del self._log[: len(self._log) - (self._clock - min(self._starts))]

    def _replay(self, index: int, actions: np.ndarray) -> None:
        observation = self._begin(index, self._episodes[index], self._starts[index])
        try:
            for action in actions.astype(self._environment_dtype):
                observation, *_ = self.environments[index].step(action)
        except Exception as error:
            raise WorldError(
                f"{self.name}, world {index}, raised {type(error).__name__} while the actions of episode "
                f"{self._episodes[index]} were replayed: {error}"
            ) from error
        if not np.array_equal(np.asarray(observation, np.float32), self._observations[index]):
            raise WorldError(
                f"{self.name}, world {index}: replaying the {len(actions)} actions of episode {self._episodes[index]} "
                "ended at another observation than was saved; the world is not determined by its seed and actions, or "
                "has changed since"
            )

    def _where(self, index: int) -> str:
        step = self._clock - self._starts[index] + 1
        return f"{self.name}, world {index}, step {step} of episode {self._episodes[index]},"


def actions_shape(spec: Spec, count: int) -> tuple[int, ...]:
    """The shape of ``count`` actions: one number each for Discrete, the Box's shape otherwise."""
    return (count,) if isinstance(spec.action, Discrete) else (count, *spec.action.shape)


def check_actions(spec: Spec, actions: Any, name: str) -> None:
    """Refuse actions that do not fit the action space, bounds included.

    Args:
        spec: the world's.
        actions: one action a row.
        name: the world's name, for the error.

    Raises:
        UsageError: actions that are not finite, out of bounds, or fractional where a choice is asked for.
    """
    actions = np.asarray(actions)
    if isinstance(spec.action, Discrete):
        if not np.issubdtype(actions.dtype, np.integer) or actions.min() < 0 or actions.max() >= spec.action.n:
            raise UsageError(f"{name}: actions {actions[:4]}; expected integers from 0 to {spec.action.n - 1}")
        return
    flat = actions.reshape(len(actions), -1)
    low, high = np.asarray(spec.action.low), np.asarray(spec.action.high)
    if not np.all((flat >= low - 1e-5) & (flat <= high + 1e-5)):
        raise UsageError(
            f"{name}: actions from {flat.min():g} to {flat.max():g}; the action space is "
            f"[{low.min():g}, {high.max():g}]: give actions in the world's own units"
        )
