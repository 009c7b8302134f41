"""Learning in a partially observable world from its last few observations, as if they were its state; and at random.

Baselines: what is hidden for longer than the window is averaged over. NumPy and a table that grows: the windows that
come about are few, and each step waits for the last.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import UsageError
from headstart.finite.pomdp import Chooser, FinitePOMDP, play

Window = tuple[int, ...]
"""The step; then the last observations and the actions between them, oldest first."""


@dataclass(frozen=True, eq=False)
class WindowPolicy:
    """The action of largest value in each window; 0 in windows that were never seen."""

    length: int
    table: dict[Window, Float[np.ndarray, " actions"]]

    def choose(self, step: int, observations: np.ndarray, actions: np.ndarray) -> Int[np.ndarray, " episodes"]:
        """The actions for some histories; see ``pomdp.Chooser``."""
        return np.array([self.best(window(step, *row, self.length)) for row in zip(observations, actions)])

    def best(self, seen: Window) -> int:
        """The action in one window."""
        return int(self.table[seen].argmax()) if seen in self.table else 0


class Played(NamedTuple):
    """What Q-learning ended with."""

    policy: WindowPolicy
    returns: Float[np.ndarray, " episodes"]


@dataclass(frozen=True)
class WindowQLearning:
    """Q-learning whose state is the last observations and the actions between them.

    Step sizes are ``(horizon + 1) / (horizon + visits)``, as in Jin, Allen-Zhu, Bubeck and Jordan 2018.
    """

    window: int = 2
    """Observations that are remembered."""
    exploration: float = 0.1
    """Share of actions drawn evenly while learning."""
    initial: float = 0.0
    """Value of what was never tried; the horizon is the optimist's."""

    def __post_init__(self) -> None:
        if self.window < 1 or not 0 <= self.exploration <= 1:
            raise UsageError(
                f"window is {self.window} and exploration {self.exploration}; expected a window of at least 1 and an "
                "exploration within [0, 1]"
            )

    def run(self, world: FinitePOMDP, episodes: int, seed: int = 0) -> Played:
        """Play a world, of which only observations and rewards are seen."""
        generator = np.random.default_rng(seed)
        values: dict[Window, np.ndarray] = defaultdict(lambda: np.full(world.actions, self.initial))
        visits: dict[Window, np.ndarray] = defaultdict(lambda: np.zeros(world.actions))
        returns = np.zeros(episodes)

        def choose(step: int, observations: np.ndarray, actions: np.ndarray) -> int:
            if generator.random() < self.exploration:
                return int(generator.integers(world.actions))
            best = np.flatnonzero((row := values[window(step, observations[0], actions[0], self.window)]) == row.max())
            return int(generator.choice(best))

        for episode in range(episodes):
            seen, done, received = (column[0] for column in play(world, choose, 1, generator))
            windows = [window(step, seen, done, self.window) for step in range(world.horizon)]
            for step in reversed(range(world.horizon)):
                here, action = windows[step], done[step]
                later = values[windows[step + 1]].max() if step + 1 < world.horizon else 0.0
                visits[here][action] += 1
                rate = (world.horizon + 1) / (world.horizon + visits[here][action])
                values[here][action] += rate * (received[step] + later - values[here][action])
            returns[episode] = received.sum()
        return Played(WindowPolicy(self.window, dict(values)), returns)


def window(step: int, observations: np.ndarray, actions: np.ndarray, length: int) -> Window:
    """What is remembered at a step of one episode; actions from the step on are not looked at."""
    first = max(0, step - length + 1)
    between = (int(number) for at in range(first, step) for number in (observations[at], actions[at]))
    return (step, *between, int(observations[step]))


def uniform_actions(world: FinitePOMDP, generator: np.random.Generator) -> Chooser:
    """Actions drawn evenly, for ``pomdp.play``."""
    return lambda step, observations, actions: generator.integers(world.actions, size=len(observations))
