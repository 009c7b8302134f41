"""Learning to schedule recovering arms: plan for optimistic curves, play the plan for a while, look again.

After Simchi-Levi, Zheng and Zhu 2021 (arXiv 2106.14813); with it, learners that know less or plan less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from headstart.bandits.periodic_plan import PeriodicPlanner
from headstart.bandits.recovering import Idle, Pulls, RecoveringLearner, Statistics
from headstart.bandits.recovery_curves import RecoveryCurves, tightened
from headstart.core.errors import UsageError


@dataclass(frozen=True)
class PhasedLearner(RecoveringLearner):
    """What the learners below share: how long they play, and how wide their bounds are.

    Raises:
        UsageError: a horizon below one or a negative scale.
    """

    horizon: int = 10_000
    """Periods to be played, T."""
    scale: float = 0.1
    """Multiplies log T / n in the squared width of bounds. 2 in theory (Hoeffding, for all arms, idle times and
    periods); 0.1 to 0.5 in practice."""

    def __post_init__(self) -> None:
        if self.horizon < 1 or self.scale < 0:
            raise UsageError(f"horizon must be 1 or more and scale not negative; given {self.horizon}, {self.scale}")

    def upper(self, state: Statistics) -> Float[np.ndarray, "arms idle"]:
        """Upper bounds of the curves: 1 where nothing was seen, never above those of longer idle times."""
        return tightened(self._bound(state.means, state.counts))

    def _bound(self, means: np.ndarray, counts: np.ndarray) -> np.ndarray:
        width = np.sqrt(self.scale * math.log(self.horizon) / np.maximum(counts, 1))
        return np.where(counts > 0, np.minimum(means + width, 1.0), 1.0)


@dataclass(frozen=True)
class RecoveringUCB(PhasedLearner):
    """Phases of sqrt T periods, each playing the best plan for upper bounds of the curves."""

    rounding: Literal["restricted", "paper"] = "restricted"
    """How plans are made (``PeriodicPlanner``)."""
    resolution: int | None = 1
    """Of the plans. 1 changes least between phases; None searches, which learns more slowly."""

    def curves(self, state: Statistics, generator: np.random.Generator) -> RecoveryCurves:
        """The curves to plan for."""
        return self.upper(state)

    def choose(self, state: Statistics, idle: Idle, generator: np.random.Generator) -> Pulls:
        """One phase of the plan, at least twice as long as arms take to recover."""
        longest = state.counts.shape[1]
        planner = PeriodicPlanner(self.capacity, self.rounding, self.resolution)
        phase = max(math.isqrt(self.horizon), 2 * longest)
        return planner.plan(self.curves(state, generator)).pulls(phase)


@dataclass(frozen=True)
class EpsilonPeriodic(RecoveringUCB):
    """Plans for mean rewards; in a random share of the phases, for random curves instead."""

    epsilon: float = 0.1
    """Share of phases that explore."""

    def curves(self, state: Statistics, generator: np.random.Generator) -> RecoveryCurves:
        """Random curves, or means that never fall and start from 0 where nothing was seen."""
        if generator.random() < self.epsilon:
            return np.sort(generator.random(state.counts.shape), axis=1)
        return np.maximum.accumulate(state.means, axis=1)


@dataclass(frozen=True)
class GreedyRecoveringUCB(PhasedLearner):
    """Pulls, in every period, the arms that could pay most right now."""

    def choose(self, state: Statistics, idle: Idle, generator: np.random.Generator) -> Pulls:
        """One period: the largest bounds at the present idle times."""
        longest = state.counts.shape[1]
        now = self.upper(state)[np.arange(len(idle)), np.minimum(idle, longest) - 1]
        return largest(now, self.capacity)


@dataclass(frozen=True)
class RecoveryBlindUCB(PhasedLearner):
    """Takes rewards for independent of idle times: UCB over arms."""

    def choose(self, state: Statistics, idle: Idle, generator: np.random.Generator) -> Pulls:
        """One period: the largest bounds of the arms' mean rewards."""
        counts = state.counts.sum(axis=1)
        return largest(self._bound(state.totals.sum(axis=1) / np.maximum(counts, 1), counts), self.capacity)


@dataclass(frozen=True)
class Myopic(RecoveringLearner):
    """Knows the curves and pulls, in every period, the arms that pay most right now."""

    known: RecoveryCurves
    """The true curves."""

    def choose(self, state: Statistics, idle: Idle, generator: np.random.Generator) -> Pulls:
        """One period: the largest present rewards."""
        now = self.known[np.arange(len(idle)), np.minimum(idle, self.known.shape[1]) - 1]
        return largest(now, self.capacity)


def largest(values: Float[np.ndarray, " arms"], count: int) -> Pulls:
    """One period that pulls the ``count`` arms of largest value, the lowest numbers among equals."""
    pulls = np.zeros((1, len(values)), bool)
    pulls[0, np.argsort(-values, kind="stable")[:count]] = True
    return pulls
