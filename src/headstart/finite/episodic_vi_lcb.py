"""VI-LCB for episodes: plan in recorded data with a lower confidence bound for every action; never play.

Backward induction on the empirical world, an action's value lowered by ``(steps left) sqrt(log(2 H S A / delta) / N)``
and 0 where it was never taken (Jin, Yang and Wang 2021, arXiv 2012.15085, in the tabular case). NumPy: a few array
operations a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.core.errors import UsageError
from headstart.finite.episodes import Counts
from headstart.finite.planning import Solution, greedy


@dataclass(frozen=True)
class EpisodicVILCB:
    """Pessimistic planning; what it returns is about as good as any policy that the data cover."""

    delta: float = 0.05
    """Probability that a bound is wrong."""
    scale: float = 1.0
    """Factor of the width; the analysis has a small constant of its own."""

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1 or self.scale < 0:
            raise UsageError(f"delta is {self.delta} and scale {self.scale}; expected a delta in (0, 1), a scale >= 0")

    def plan(self, counts: Counts) -> Solution:
        """Lower bounds on values, and the policy that has them; ties go to the lowest action.

        Args:
            counts: of episodes, ``[horizon, states, actions]``.
        """
        horizon, states = counts.visits.shape[:2]
        width = self.scale * np.sqrt(np.log(2 * counts.visits.size / self.delta) / np.maximum(counts.visits, 1))
        values, action_values, policy = [np.zeros(states)], [], []
        for step in reversed(range(horizon)):
            left = horizon - step
            quality = counts.mean_reward[step] + counts.frequencies[step] @ values[0] - left * width[step]
            quality = np.where(counts.visits[step] > 0, np.clip(quality, 0, left), 0.0)
            values.insert(0, quality.max(-1))
            action_values.insert(0, quality)
            policy.insert(0, greedy(quality))
        return Solution(np.stack(values), np.stack(action_values), np.stack(policy))
