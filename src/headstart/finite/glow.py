"""GLOW: explore optimistically among the value functions that no reweighting of the data refutes.

Amortila, Foster, Jiang, Sekhari and Xie 2024 (arXiv 2401.09681), Algorithm 1. The class need only hold the optimal
values; nothing is asked of what Bellman's operator makes of the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from headstart.core.errors import HeadstartError
from headstart.finite.episodes import Counts, collect, count
from headstart.finite.hybrid import Interaction, join
from headstart.finite.mdp import FiniteMDP
from headstart.finite.value_class import ValueClass


@dataclass(frozen=True, eq=False)
class GLOW:
    """Keeps the functions that do not promise too much in any cell, and plays the one that promises most.

    Weights are all nonnegative functions of the cells. The largest ``mean[w error - alpha w^2]`` is then taken cell by
    cell, the clip never binds, and a function is kept when at every step the sum over cells of
    ``visits max(error, 0)^2`` is at most a constant. ``gamma`` cancels.
    """

    values: ValueClass
    confidence_scale: float = 0.003
    """The constant is ``32 confidence_scale log(6 functions weights rounds horizon / failure_probability)``. Theory has
    36, which refutes nothing in fewer than about a million rounds."""
    weights: float | None = None
    """How many weight functions the logarithm counts; None: as many as there are value functions."""
    failure_probability: float = 0.05
    """Within (0, 1)."""
    episodes_per_round: int = 1
    """Theory has more where only single policies' weights are known."""
    when_all_refuted: Literal["raise", "least"] = "raise"
    """What to do when no function is left: raise an error, or go on with the least refuted ones."""

    def run(self, world: FiniteMDP, rounds: int, seed: int = 0) -> tuple[Interaction, Bool[np.ndarray, "rounds f"]]:
        """Play a world whose start distribution is known.

        Args:
            world: only ever played.
            rounds: how many policies to play.
            seed: of the episodes.

        Returns:
            What was played, and which functions were kept in each round.

        Raises:
            HeadstartError: all functions were refuted: none is the world's, or ``confidence_scale`` is too small.
        """
        generator = np.random.default_rng(seed)
        promised = self.values.values[:, 0] @ np.asarray(world.initial)
        threshold = self.threshold(rounds)
        counts = _none(self.values)
        policies, played, kept = [], [], []
        for _ in range(rounds):
            left = self.kept(counts, threshold)
            policy = self.values.policy(int(np.where(left, promised, -np.inf).argmax()))
            episodes = collect(world, policy, self.episodes_per_round, int(generator.integers(2**31)))
            seen = count(episodes, self.values.spec)
            counts = Counts(counts.transitions + seen.transitions, counts.reward_sums + seen.reward_sums)
            policies.append(policy)
            played.append(episodes)
            kept.append(left)
        return Interaction(np.stack(policies), join(played)), np.stack(kept)

    def threshold(self, rounds: int) -> float:
        """What the violation of a function that is kept may be."""
        functions, horizon = len(self.values), self.values.spec.horizon
        weights = functions if self.weights is None else self.weights
        log = math.log(6 * functions * weights * rounds * horizon / self.failure_probability)
        return 32 * self.confidence_scale * log

    def violation(self, counts: Counts) -> Float[np.ndarray, " functions"]:
        """The largest, over steps, of ``sum over cells of visits max(error, 0)^2``."""
        over = np.maximum(self.values.residuals(counts), 0)
        return (counts.visits * over**2).sum((2, 3)).max(1)

    def kept(self, counts: Counts, threshold: float) -> Bool[np.ndarray, " functions"]:
        """Which functions are not refuted."""
        violation = self.violation(counts)
        if violation.min() <= threshold:
            return violation <= threshold
        if self.when_all_refuted == "least":
            return violation == violation.min()
        raise HeadstartError(
            f"all {len(violation)} value functions were refuted: the least violation is {violation.min():.3g}, allowed "
            f"are {threshold:.3g}; give a class that holds the optimal values, or a larger confidence_scale"
        )


def _none(values: ValueClass) -> Counts:
    cells = values.action_values.shape[1:]
    return Counts(np.zeros((*cells, cells[1])), np.zeros(cells))
