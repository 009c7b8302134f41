"""Start early episodes from where a teacher has been (SnapshotRL and S3RL, Zhao et al. 2024, arXiv 2403.00673)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from headstart.core.checkpoint import read_metadata
from headstart.core.errors import CheckpointError, UsageError
from headstart.core.files import write_atomically
from headstart.core.registry import unknown
from headstart.core.specs import Spec
from headstart.envs.clusters import value_clusters
from headstart.envs.functional import FunctionalWorld, State
from headstart.envs.gymnasium_face import FunctionalEnv
from headstart.envs.state_access import TIME_LIMITS, checksum, state_access, time_limit

Chooser = Literal["uniform", "value_clusters"]


@dataclass(frozen=True, eq=False)
class Snapshots:
    """States along a teacher's episodes. Compared and hashed by identity, so that a world over them can be static.

    Attributes:
        states: what ``get_state`` gave: arrays stacked by name, or a list of whole environments.
        observations: what was seen in each state, in the environment's own dtype.
        values: how good the teacher takes each state to be; its clusters stand for stages of the task.
        steps: how far into its episode each was taken.
        world: the ``checksum`` of the environment they were taken in.
        terminations: whether the episode had ended in the state; such snapshots are refused.

    Raises:
        UsageError: there are none, a terminated one, or a value that is not finite.
    """

    states: dict[str, np.ndarray] | list[gymnasium.Env]
    observations: Shaped[np.ndarray, "snapshot ..."]
    values: Float[np.ndarray, " snapshot"]
    steps: Int[np.ndarray, " snapshot"]
    world: str
    terminations: Bool[np.ndarray, " snapshot"] | None = None

    def __post_init__(self):
        if not len(self.values):
            raise UsageError("no snapshots; expected at least one")
        if self.terminations is not None and np.any(self.terminations):
            raise UsageError(
                f"snapshot {int(np.argmax(self.terminations))} is of a terminated state; no episode can start there"
            )
        if not np.all(np.isfinite(self.values)):
            raise UsageError(f"the value of snapshot {int(np.argmin(np.isfinite(self.values)))} is not finite")

    def __len__(self) -> int:
        return len(self.values)

    def state(self, index: int) -> Any:
        """One state, as ``set_state`` takes it."""
        if isinstance(self.states, list):
            return self.states[index]
        return {name: array[index] for name, array in self.states.items()}

    def probabilities(self, chooser: Chooser, clusters: int) -> Float[np.ndarray, " snapshot"]:
        """How often each is chosen: uniformly, or a value cluster uniformly and then one of its members uniformly.

        Raises:
            UsageError: there are fewer snapshots than clusters, or the chooser is unknown.
        """
        if chooser not in ("uniform", "value_clusters"):
            raise unknown("chooser", chooser, ("uniform", "value_clusters"))
        if chooser == "uniform":
            return np.full(len(self), 1 / len(self))
        _, members, sizes = np.unique(value_clusters(self.values, clusters), return_inverse=True, return_counts=True)
        return 1 / (len(sizes) * sizes[members])

    def check_world(self, found: str, name: str) -> None:
        """Refuse another world than the one the snapshots were taken in.

        Raises:
            UsageError: the checksums differ.
        """
        if found != self.world:
            raise UsageError(
                f"the snapshots were taken in a world with checksum {self.world}, and {name} has {found}: its version, "
                "options or model differ; collect them in the world they are to be used in"
            )

    def save(self, path: Path | str) -> None:
        """Write them to one safetensors file.

        Raises:
            UsageError: the states are copies of environments, which no file holds.
        """
        if isinstance(self.states, list):
            raise UsageError("these snapshots are copies of environments; only states made of arrays can be written")
        columns = {"observations": self.observations, "values": self.values, "steps": self.steps}
        arrays = columns | {f"state/{name}": np.ascontiguousarray(array) for name, array in self.states.items()}
        write_atomically(path, safetensors.numpy.save(arrays, {"headstart": json.dumps({"world": self.world})}))

    @classmethod
    def load(cls, path: Path | str) -> Snapshots:
        """Read what ``save`` wrote.

        Raises:
            CheckpointError: the file is missing, damaged or something else.
        """
        try:
            world = read_metadata(path)["world"]
            arrays = safetensors.numpy.load_file(str(path))
            states = {name[6:]: arrays.pop(name) for name in list(arrays) if name.startswith("state/")}
            return cls(states, world=world, **arrays)
        except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is not a file of snapshots: {error}") from error


def collect_snapshots(
    world: FunctionalWorld | gymnasium.Env,
    teacher: Callable[[np.ndarray], Any] | None = None,
    *,
    episodes: int = 10,
    every: int = 10,
    best: int | None = None,
    value: Callable[[np.ndarray], np.ndarray] | None = None,
    discount: float = 0.99,
    seed: int = 0,
) -> Snapshots:
    """Let a teacher act and keep states along its way: the start of each episode and every tenth after it.

    Args:
        world: a functional world, or an environment to act in (it is reset).
        teacher: ``teacher(observation) -> action``; by default a functional world's scripted controller.
        episodes: how many to run (the paper: 10).
        every: steps from one snapshot to the next (the paper: 10).
        best: keep only this many episodes, those of highest return (the paper: all).
        value: ``value(observations [n, …]) -> [n]``, such as a teacher's critic at its own actions; by default the
            discounted return that followed in the episode.
        discount: of that return.
        seed: of the first episode; later ones count up.

    Raises:
        UsageError: there is no teacher, or no access to the world's state.
    """
    if episodes < 1 or every < 1 or (best is not None and best < 1):
        raise UsageError(f"episodes={episodes}, every={every}, best={best}; expected numbers from 1")
    environment = FunctionalEnv(world) if isinstance(world, FunctionalWorld) else world
    if teacher is None:
        teacher = _scripted(environment)
    access = state_access(environment)
    recorded = []
    for episode in range(episodes):
        kept, rewards, ended = [], [], False
        observation, _ = access.environment.reset(seed=seed + episode)
        while not ended:
            if len(rewards) % every == 0:
                kept.append((len(rewards), np.array(observation), access.get_state()))
            observation, reward, terminated, truncated, _ = access.environment.step(teacher(observation))
            rewards.append(float(reward))
            ended = terminated or truncated
        recorded.append((sum(rewards), kept, _returns_to_go(rewards, discount)))
    recorded.sort(key=lambda episode: -episode[0])
    rows = [(*row, later[row[0]]) for _, kept, later in recorded[:best] for row in kept]
    steps, observations, states, values = (list(column) for column in zip(*rows, strict=True))
    if isinstance(states[0], dict):
        states = {name: np.stack([state[name] for state in states]) for name in states[0]}
    if value is not None:
        values = value(np.stack(observations))
    return Snapshots(
        states,
        np.stack(observations),
        np.asarray(values, np.float32).reshape(-1),
        np.array(steps),
        checksum(environment),
    )


def _scripted(environment: gymnasium.Env) -> Callable[[np.ndarray], np.ndarray]:
    inner = environment.unwrapped
    if not isinstance(inner, FunctionalEnv):
        raise UsageError(f"{environment} has no scripted controller; give a teacher")
    return lambda _: inner.controller()


def _returns_to_go(rewards: list[float], discount: float) -> np.ndarray:
    later = np.zeros(len(rewards) + 1)
    for step in reversed(range(len(rewards))):
        later[step] = rewards[step] + discount * later[step + 1]
    return later[:-1]


@dataclass(frozen=True)
class SnapshotWorld(FunctionalWorld):
    """A functional world whose episodes start at snapshots. Its states are the world's own.

    A trainer acts in it for the first steps (the paper: 100k of 1M) and in the bare ``world`` from then on, with the
    same networks and replay. Random keys inside a state are drawn anew, so that noise does not repeat.

    Attributes:
        world: the bare world.
        snapshots: where episodes start.
        chooser: "value_clusters", a cluster and then one of its snapshots; or "uniform".
        clusters: how many (the paper: 6 for TD3, 4 for SAC).
        truncate_after: the horizon, counted from the snapshot (the paper: 100), or None: the world's own, likewise.
    """

    world: FunctionalWorld
    snapshots: Snapshots
    chooser: Chooser = "value_clusters"
    clusters: int = 6
    truncate_after: int | None = 100

    def __post_init__(self):
        if self.truncate_after is not None and self.truncate_after < 1:
            raise UsageError(f"truncate_after={self.truncate_after}; expected a number from 1, or None")
        if isinstance(self.snapshots.states, list):
            raise UsageError("these snapshots are copies of environments; a functional world needs arrays")
        self.snapshots.check_world(checksum(FunctionalEnv(self.world)), self.world.name)
        _ = self._choices

    @property
    def name(self) -> str:
        """The world's name, marked."""
        return f"{self.world.name}-snapshots"

    @property
    def horizon(self) -> int:
        """Steps from a snapshot to the truncation."""
        return self.truncate_after or self.world.horizon

    @property
    def spec(self) -> Spec:
        """The world's."""
        return self.world.spec

    @cached_property
    def _choices(self) -> np.ndarray:
        return np.cumsum(self.snapshots.probabilities(self.chooser, self.clusters)).astype(np.float32)

    def reset(self, key: PRNGKeyArray) -> State:
        """The state of a chosen snapshot."""
        choice_key, state_key = jax.random.split(key)
        index = _choose(jnp.asarray(self._choices), jax.random.uniform(choice_key))
        states = self.snapshots.states
        assert isinstance(states, dict)
        leaves, structure = jax.tree.flatten(jax.eval_shape(self.world.reset, key))
        restored = []
        for number, leaf in enumerate(leaves):
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                restored.append(jax.random.fold_in(state_key, number))
            else:
                restored.append(jnp.asarray(states[f"leaf-{number}"])[index])
        return jax.tree.unflatten(structure, restored)

    def observe(self, state: State) -> Float[Array, " observation"]:
        """As the world does."""
        return self.world.observe(state)

    def step(self, state: State, action: Shaped[Array, "..."]) -> tuple[State, Float[Array, ""], Bool[Array, ""]]:
        """As the world does."""
        return self.world.step(state, action)

    def controller(self, state: State) -> Shaped[Array, "..."]:
        """As the world does."""
        return self.world.controller(state)


class SnapshotEnv(gymnasium.Wrapper):
    """An environment whose episodes start at snapshots until ``until_step`` steps are taken; the bare one after that.

    Wrappers with running statistics or histories (``NormalizeObservation``, ``FrameStackObservation``) belong around
    it: they then see restored observations as they see those of any reset.

    Args:
        environment: the bare environment, equal to the one that the snapshots were taken in.
        snapshots: where episodes start.
        chooser: "value_clusters", a cluster and then one of its snapshots; or "uniform".
        clusters: how many.
        truncate_after: steps from a snapshot to a truncation, or None: the environment's own time limit, counted anew.
        until_step: steps after which resets are those of the bare environment: of this environment, or of all that
            are acted in together (``Worlds`` says so through ``set_total_steps``).

    Raises:
        UsageError: the environment is not the snapshots', or its state cannot be set.
    """

    def __init__(
        self,
        environment: gymnasium.Env,
        snapshots: Snapshots,
        chooser: Chooser = "value_clusters",
        clusters: int = 6,
        truncate_after: int | None = 100,
        until_step: int = 100_000,
    ):
        super().__init__(environment)
        if truncate_after is not None and truncate_after < 1:
            raise UsageError(f"truncate_after={truncate_after}; expected a number from 1, or None")
        snapshots.check_world(checksum(environment), str(environment))
        self._access = state_access(environment)
        self._snapshots, self._choices = snapshots, np.cumsum(snapshots.probabilities(chooser, clusters))
        self._truncate_after, self._until_step = truncate_after, until_step
        self._total_steps, self._remaining = 0, math.inf
        self._random = np.random.default_rng()

    def set_total_steps(self, steps: int) -> None:
        """How many steps have been taken so far, here or in all environments together."""
        self._total_steps = steps

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start at a snapshot drawn from ``seed``, or as the bare environment does."""
        observation, information = self.env.reset(seed=seed, options=options)
        if seed is not None:
            self._random = np.random.default_rng((seed, 1))  # apart from the environment's own stream
        self._remaining = math.inf
        if self._total_steps >= self._until_step:
            return observation, information
        index = int(_choose(self._choices, self._random.random()))
        self._restore(index)
        if self._truncate_after is not None:
            self._remaining = self._truncate_after
        return np.array(self._snapshots.observations[index]), {"snapshot": index}

    def _restore(self, index: int) -> None:
        state = self._snapshots.state(index)
        if isinstance(state, dict):
            state |= {name: np.array(0) for name in TIME_LIMITS if name in state}
        self._access.set_state(state)
        self.env = self._access.environment
        limit = time_limit(self.env)
        if limit is not None:
            limit._elapsed_steps = 0

    def step(self, action: Any):
        """Act once; truncates ``truncate_after`` steps after a snapshot."""
        observation, reward, terminated, truncated, information = self.env.step(action)
        self._total_steps += 1
        self._remaining -= 1
        return observation, reward, terminated, bool(truncated or self._remaining <= 0), information


def _choose(cumulative: Any, uniform: Any) -> Any:
    # Clipped, for a rounded sum may fall short of the uniform number.
    backend = jnp if isinstance(cumulative, jax.Array) else np
    return backend.minimum(backend.searchsorted(cumulative, uniform, side="right"), len(cumulative) - 1)
