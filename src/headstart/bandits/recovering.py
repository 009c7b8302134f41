"""Recovering rewards: an arm pays more the longer it has rested (Simchi-Levi, Zheng and Zhu 2021, arXiv 2106.14813).

In every period at most ``capacity`` arms are pulled; what each pays depends on its own idle time alone. NumPy, not JAX:
planning is sorting and packing, and learners commit to blocks of periods, each of which is played by a few array
operations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from headstart.bandits.recovery_curves import RecoveryCurves, check_curves
from headstart.core.errors import DataError, UsageError

Idle = Int[np.ndarray, " arms"]
"""Periods since each arm's last pull, 1 or more."""
Pulls = Bool[np.ndarray, "periods arms"]
"""Which arms are pulled in each of some periods."""


class Played(NamedTuple):
    """What came of a block of periods.

    Attributes:
        idle: idle time of each arm when it was pulled, at most ``longest``; 0 where it was not.
        means: mean reward of each pull; 0 where there was none.
        rewards: rewards received.
        after: idle time of each arm at the first period after the block.
    """

    idle: Int[np.ndarray, "periods arms"]
    means: Float[np.ndarray, "periods arms"]
    rewards: Float[np.ndarray, "periods arms"]
    after: Idle


@dataclass(frozen=True)
class RecoveringBandit:
    """Arms whose rewards recover while they rest.

    Attributes:
        curves: ``curves[arm, d - 1]`` is the mean reward after ``d`` idle periods.
        capacity: arms that may be pulled in one period; more than there are arms is all of them.
        noise: Bernoulli rewards, or none.

    Raises:
        DataError: curves that fall, or leave [0, 1].
        UsageError: a capacity below one.
    """

    curves: RecoveryCurves
    capacity: int
    noise: Literal["none", "bernoulli"] = "bernoulli"

    def __post_init__(self) -> None:
        object.__setattr__(self, "curves", check_curves(self.curves))
        object.__setattr__(self, "capacity", checked_capacity(self.capacity, self.arms))

    @property
    def arms(self) -> int:
        """Number of arms."""
        return self.curves.shape[0]

    @property
    def longest(self) -> int:
        """Idle time from which on all arms have recovered."""
        return self.curves.shape[1]

    @property
    def rested(self) -> Idle:
        """Idle times of arms that have all recovered."""
        return np.full(self.arms, self.longest)

    def play(self, pulls: Pulls, idle: Idle, generator: np.random.Generator) -> Played:
        """Pull arms for a block of periods.

        Args:
            pulls: which, in each period.
            idle: idle times at its first period.
            generator: of the rewards.

        Raises:
            DataError: another number of arms, more pulls in a period than the capacity, or idle times below 1.
        """
        pulls, idle = np.asarray(pulls, bool), np.asarray(idle)
        if pulls.ndim != 2 or pulls.shape[1] != self.arms or idle.shape != (self.arms,) or (idle < 1).any():
            raise DataError(
                f"pulls must be [periods, {self.arms}] and idle times [{self.arms}], at least 1; given shapes "
                f"{list(pulls.shape)} and {list(idle.shape)}"
            )
        most = pulls.sum(axis=1).max(initial=0)
        if most > self.capacity:
            raise DataError(f"{most} arms are pulled in one period; at most {self.capacity} may be")
        time = np.arange(len(pulls))[:, None]
        last = np.maximum.accumulate(np.vstack([-idle, np.where(pulls, time, -idle)]), axis=0)
        rested = np.where(pulls, np.minimum(time - last[:-1], self.longest), 0)
        means = np.where(pulls, self.curves[np.arange(self.arms), rested - 1], 0.0)
        rewards = means if self.noise == "none" else (generator.random(means.shape) < means).astype(float)
        return Played(rested, means, rewards, len(pulls) - last[-1])


class Statistics(NamedTuple):
    """All that a learner remembers.

    Attributes:
        counts: pulls of each arm after each idle time.
        totals: sums of their rewards.
        periods: how many have passed.
    """

    counts: Int[np.ndarray, "arms idle"]
    totals: Float[np.ndarray, "arms idle"]
    periods: int

    @property
    def means(self) -> Float[np.ndarray, "arms idle"]:
        """Mean rewards; 0 where nothing was seen."""
        return self.totals / np.maximum(self.counts, 1)


@dataclass(frozen=True)
class RecoveringLearner(ABC):
    """Plays without knowing the curves, whose length it is told. State: ``Statistics``."""

    capacity: int
    """Arms that may be pulled in one period."""

    def init(self, arms: int, longest: int) -> Statistics:
        """Nothing seen yet.

        Raises:
            UsageError: fewer than one arm or idle time, or a capacity below one.
        """
        if arms < 1 or longest < 1:
            raise UsageError(f"at least one arm and one idle time are needed; given {arms} and {longest}")
        checked_capacity(self.capacity, arms)
        return Statistics(np.zeros((arms, longest), np.int64), np.zeros((arms, longest)), 0)

    @abstractmethod
    def choose(self, state: Statistics, idle: Idle, generator: np.random.Generator) -> Pulls:
        """What to pull in the next period, or in a block of several that it commits to."""

    def observe(
        self, state: Statistics, idle: Int[np.ndarray, "periods arms"], rewards: Float[np.ndarray, "periods arms"]
    ) -> Statistics:
        """Count the rewards of a block of periods.

        Args:
            state: before it.
            idle: idle time of each arm when it was pulled; 0 where it was not.
            rewards: what the pulls gave.
        """
        counts, totals = state.counts.copy(), state.totals.copy()
        period, arm = np.nonzero(idle)
        place = (arm, np.minimum(idle[period, arm], counts.shape[1]) - 1)
        np.add.at(counts, place, 1)
        np.add.at(totals, place, rewards[period, arm])
        return Statistics(counts, totals, state.periods + len(idle))


class Earnings(NamedTuple):
    """What came of a simulation.

    Attributes:
        periods: how many had passed, at evenly spaced points, the horizon last.
        earned: sum, up to there, of the mean rewards of all pulls.
    """

    periods: Int[np.ndarray, " points"]
    earned: Float[np.ndarray, "seeds points"]

    def regret(self, per_period: float) -> Float[np.ndarray, "seeds points"]:
        """What a player who earns ``per_period``, such as a plan's value, would have earned more."""
        return self.periods * per_period - self.earned


def simulate_recovering(
    learner: RecoveringLearner, world: RecoveringBandit, horizon: int, seeds: Sequence[int] = (0,), points: int = 100
) -> Earnings:
    """Let a learner play for ``horizon`` periods, once for each seed, all arms rested at the start.

    Raises:
        UsageError: no periods or points, or a learner with another capacity than the world's.
    """
    if horizon < 1 or points < 1:
        raise UsageError(f"horizon and points must be 1 or more; given {horizon} and {points}")
    if min(learner.capacity, world.arms) != world.capacity:
        raise UsageError(f"the learner pulls {learner.capacity} arms a period, the world allows {world.capacity}")
    at = np.unique(np.linspace(0, horizon, min(points, horizon) + 1).round().astype(int))[1:]
    earned = np.empty((len(seeds), len(at)))
    for row, seed in enumerate(seeds):
        luck, own = np.random.default_rng((seed, 0)), np.random.default_rng((seed, 1))
        state, idle, passed = learner.init(world.arms, world.longest), world.rested, 0
        income = np.empty(horizon)
        while passed < horizon:
            pulls = learner.choose(state, idle, own)[: horizon - passed]
            played = world.play(pulls, idle, luck)
            state = learner.observe(state, played.idle, played.rewards)
            income[passed : passed + len(pulls)] = played.means.sum(axis=1)
            idle, passed = played.after, passed + len(pulls)
        earned[row] = np.cumsum(income)[at - 1]
    return Earnings(at, earned)


def checked_capacity(capacity: int, arms: int) -> int:
    """The capacity, at most the number of arms.

    Raises:
        UsageError: it is below one.
    """
    if capacity < 1:
        raise UsageError(f"capacity must be 1 or more; given {capacity}")
    return min(capacity, arms)
