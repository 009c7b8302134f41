"""Acting in a world and learning from it: on the host for any world, in one compiled program for functional ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from headstart.control import programs
from headstart.control.method import Method, State
from headstart.control.plan import Phase
from headstart.control.preprocessing import Preprocessor
from headstart.core.errors import WorldError
from headstart.data.experience import COLUMNS
from headstart.data.replay import Replay
from headstart.envs.functional import FunctionalWorld
from headstart.envs.worlds import Worlds


@dataclass
class Situation:
    """What a collector reads and changes while it acts.

    Attributes:
        method: who acts and learns.
        preprocessor: between the world's units and the networks'.
        state: what has been learned.
        replay: where transitions go.
        data: recorded transitions to mix in, or None.
        key: all randomness of the phase; steps are folded in.
        reward_scale: stored rewards are ``reward_scale * reward + reward_bias``.
        reward_bias: see ``reward_scale``.
        steps_taken: how many times the worlds have been stepped, counted also when one of them fails.
    """

    method: Method
    preprocessor: Preprocessor
    state: State
    replay: Replay
    data: Replay | None
    key: PRNGKeyArray
    reward_scale: float = 1.0
    reward_bias: float = 0.0
    steps_taken: int = 0


@dataclass
class Episodes:
    """Exploring episodes that ended during a call, summed."""

    returns: float = 0.0
    lengths: float = 0.0
    terminations: float = 0.0
    count: float = 0.0

    def metrics(self) -> dict[str, float]:
        """Means over the episodes, by metric name; empty when none ended."""
        if not self.count:
            return {}
        return {
            "episode/return": self.returns / self.count,
            "episode/length": self.lengths / self.count,
            "episode/terminated": self.terminations / self.count,
            "episode/count": self.count,
        }


@dataclass(frozen=True)
class Pending:
    """A transition of every world that is yet to be stored, and whether updates belong to it."""

    row: tuple[np.ndarray, ...]
    step: int
    learn: bool


class Collector(Protocol):
    """Acts in ``count`` worlds at once."""

    count: int

    def collect(self, now: Situation, phase: Phase, first: int, steps: int, learning: bool) -> dict[str, float]:
        """Act ``steps`` times in every world, learning as the phase says when ``learning``; returns metrics.

        Args:
            first: number of the first of these steps within the phase.
        """
        ...

    def settle(self, now: Situation, phase: Phase) -> None:
        """Finish what ``collect`` has left to be done; called at the end of a phase."""
        ...

    def save_state(self) -> dict[str, np.ndarray]:
        """Where the worlds are, as named arrays."""
        ...

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from what ``save_state`` gave, bit for bit."""
        ...


class _Packed:
    """A situation whose arrays are passed to compiled calls as flat tuples."""

    def __init__(self, now: Situation):
        self.method, self.key = now.method, now.key
        self.moving, structure = programs.flatten((now.state, now.replay))
        self.constant, constant_structure = programs.flatten((now.preprocessor, now.data))
        self.structures = (structure, constant_structure)

    def act(self, observations: np.ndarray, step: int, mode: programs.Mode) -> np.ndarray:
        call = (self.moving, self.constant, self.structures, self.method)
        return np.asarray(programs.host_act(*call, observations, self.key, np.int32(step), mode))

    def store(self, phase: Phase, pending: Pending) -> dict[str, Any]:
        call = (self.moving, self.constant, self.structures, self.method)
        step = np.int32(pending.step)
        self.moving, metrics = programs.host_store(*call, phase, pending.row, self.key, step, pending.learn)
        return metrics

    def unpack(self, now: Situation) -> None:
        now.state, now.replay = jax.tree.unflatten(self.structures[0], self.moving)


@dataclass
class HostCollector:
    """Drives Gymnasium or EnvPool worlds: the compiled update runs while the host steps the world.

    The update that belongs to a step is made when the next action has been chosen, so acting is one update behind.
    """

    worlds: Worlds
    observations: np.ndarray | None = None
    pending: Pending | None = None

    def __post_init__(self) -> None:
        self.count = self.worlds.count
        self.returns, self.lengths = np.zeros(self.count), np.zeros(self.count, np.int64)
        self.metrics: dict[str, Any] = {}

    def collect(self, now: Situation, phase: Phase, first: int, steps: int, learning: bool) -> dict[str, float]:
        """See ``Collector.collect``."""
        observations = self.start()
        mode = "random" if phase.kind == "warmup" and phase.policy == "random" else "explore"
        episodes, packed = Episodes(), _Packed(now)
        try:
            for step in range(first, first + steps):
                actions = packed.act(observations, step, mode)
                self._store(packed, phase)
                after = self.worlds.step(actions)
                now.steps_taken += 1
                rewards = (after.rewards * now.reward_scale + now.reward_bias).astype(np.float32)
                row = (
                    observations,
                    actions,
                    rewards,
                    after.next_observations,
                    after.terminations,
                    after.truncations,
                )
                self.pending = Pending(row, step, learning and phase.period > 0 and step % phase.period == 0)
                self.observations = observations = after.observations
                self.count_episodes(after.rewards, after.terminations, after.truncations, episodes)
        except WorldError:
            self._store(packed, phase)
            raise
        finally:
            packed.unpack(now)
        return {**episodes.metrics(), **{name: float(value) for name, value in self.metrics.items()}}

    def settle(self, now: Situation, phase: Phase) -> None:
        """Store the last transition, and make the updates that belong to it."""
        packed = _Packed(now)
        self._store(packed, phase)
        packed.unpack(now)

    def _store(self, packed: _Packed, phase: Phase) -> None:
        if self.pending is not None:
            metrics = packed.store(phase, self.pending)
            self.metrics, self.pending = metrics or self.metrics, None

    def start(self) -> np.ndarray:
        """Begin the first episodes if that has not been done; returns the observations to act on."""
        if self.observations is None:
            self.observations = self.worlds.reset()
        return self.observations

    def count_episodes(self, rewards: Any, terminations: Any, truncations: Any, episodes: Episodes) -> None:
        """Add a step to the running episodes' returns, and those that ended to ``episodes``."""
        self.returns += rewards
        self.lengths += 1
        ended = terminations | truncations
        if ended.any():
            episodes.returns += float(self.returns[ended].sum())
            episodes.lengths += float(self.lengths[ended].sum())
            episodes.terminations += float(terminations.sum())
            episodes.count += float(ended.sum())
            self.returns[ended], self.lengths[ended] = 0.0, 0

    def save_state(self) -> dict[str, np.ndarray]:
        """See ``Collector.save_state``."""
        if self.observations is None:
            return {}
        own = {"observations": self.observations, "returns": self.returns, "lengths": self.lengths}
        if self.pending is not None:
            own["pending"] = np.array([self.pending.step, self.pending.learn])
            own |= {f"pending/{name}": column for name, column in zip(COLUMNS, self.pending.row, strict=True)}
        return own | {f"worlds/{name}": array for name, array in self.worlds.save_state().items()}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """See ``Collector.load_state``."""
        if not state:
            return
        self.worlds.load_state({k.removeprefix("worlds/"): v for k, v in state.items() if k.startswith("worlds/")})
        self.observations = state["observations"]
        self.returns, self.lengths = np.array(state["returns"]), np.array(state["lengths"])
        if "pending" in state:
            step, learn = state["pending"].tolist()
            self.pending = Pending(tuple(state[f"pending/{name}"] for name in COLUMNS), step, bool(learn))


class FunctionalCollector:
    """Drives a functional world: acting, storing and learning are one compiled program."""

    def __init__(self, world: FunctionalWorld, count: int, key: PRNGKeyArray):
        self.world, self.count = world, count
        self.interaction = programs.begin(world, count, key)

    def collect(self, now: Situation, phase: Phase, first: int, steps: int, learning: bool) -> dict[str, float]:
        """See ``Collector.collect``."""
        mode = "random" if phase.kind == "warmup" and phase.policy == "random" else "explore"
        now.state, now.replay, self.interaction, finished, metrics = programs.interact(
            now.method,
            self.world,
            phase,
            now.preprocessor,
            now.state,
            now.replay,
            now.data,
            self.interaction,
            (now.reward_scale, now.reward_bias),
            now.key,
            np.int32(first),
            steps,
            learning and phase.period > 0,
            mode,
        )
        now.steps_taken += steps
        episodes = Episodes(*map(float, finished))
        return {**episodes.metrics(), **{name: float(value) for name, value in metrics.items()}}

    def settle(self, now: Situation, phase: Phase) -> None:
        """Nothing is ever left to be done."""

    def save_state(self) -> dict[str, np.ndarray]:
        """See ``Collector.save_state``."""
        return {f"{i:04d}": np.asarray(_raw(leaf)) for i, leaf in enumerate(jax.tree.leaves(self.interaction))}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """See ``Collector.load_state``."""
        leaves, structure = jax.tree.flatten(self.interaction)
        restored = [_like(leaf, state[f"{i:04d}"]) for i, leaf in enumerate(leaves)]
        self.interaction = jax.tree.unflatten(structure, restored)


def _raw(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _like(leaf: Any, saved: np.ndarray) -> Any:
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jax.numpy.asarray(saved), impl=jax.random.key_impl(leaf))
    return jax.numpy.asarray(saved)
