"""FTPedel: certify a good policy with the fewest online episodes that recorded data leave necessary.

Policies are compared by value in the model of all data, recorded and fresh. Phase by phase they are told apart twice as
finely: episodes are played where the occupancies of the policies still in question are known least, until each is known
well enough, and policies that are clearly worse are dropped. Without recorded data it is PEDEL (Wagenmaker and Jamieson
2022); with them it plays only to fill their holes (Wagenmaker and Pacchiano 2023, arXiv 2211.04974).

NumPy: every batch of episodes depends on what the last one showed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import DataError, UsageError
from headstart.finite.drawing import draw_episodes
from headstart.finite.episodes import Counts
from headstart.finite.experiment_design import Cells, Policies, propagate, uncertainty, visit
from headstart.finite.mdp import FiniteMDP


@dataclass(frozen=True, eq=False)
class Certified:
    """What FTPedel returns."""

    policy: Float[np.ndarray, "horizon states actions"]
    """The best of the survivors by estimated value."""
    index: int
    """Its place among the policies that were given."""
    certificate: float
    """It is at most this much worse than the best of the policies, with the confidence that was asked for."""
    certified: bool
    """Whether that is as good as asked for; False when the episodes ran out."""
    episodes: Int[np.ndarray, "phases horizon"]
    """Online episodes played in each phase for each step."""
    survivors: Int[np.ndarray, " survivors"]
    """Places of the policies that were not ruled out."""

    @property
    def online_episodes(self) -> int:
        """All episodes played."""
        return int(self.episodes.sum())


@dataclass(frozen=True)
class FTPedel:
    """Policy elimination with online experiment design that starts from recorded data (FineTuning PEDEL)."""

    epsilon: float = 0.1
    """How far from the best policy the one returned may be, in value of an episode."""
    delta: float = 0.05
    """Probability of error; used when beta is theory's."""
    beta: float | None = 4.0
    """Squared width of confidence, in units of the variance of one visit. 4 is practical for up to some hundred
    policies and short horizons; None takes ``64 H^4 log(4 H^2 policies phase^2 / delta)``, theory's (its power of the
    horizon and its constant unverified), which is far more careful."""
    design: Literal["optimistic", "oracle"] = "optimistic"
    """``optimistic`` plans its way to cells in what it has seen of the world; ``oracle`` knows the transitions."""
    design_batch: int = 10
    """Episodes between two plans."""
    sharpness: float = 10.0
    """How closely the smooth maximum over policies follows the least known one."""
    bonus: float = 0.1
    """Optimism of the way to a cell: this over the square root of visits, in units of the largest gain."""
    unseen: float = 0.1
    """Visits that a cell without any counts as when the gain of visiting it is computed."""
    max_episodes: int = 10_000_000
    """Online episodes after which it gives up."""

    def __post_init__(self) -> None:
        if not (self.epsilon > 0 and 0 < self.delta < 1 and (self.beta is None or self.beta > 0)):
            raise UsageError(
                f"epsilon is {self.epsilon}, delta {self.delta} and beta {self.beta}; expected epsilon and beta above "
                "0 and delta between 0 and 1"
            )
        if self.design not in ("optimistic", "oracle"):
            raise UsageError(f"design is {self.design!r}; choose optimistic or oracle")
        if self.design_batch < 1:
            raise UsageError(f"design_batch is {self.design_batch}; expected at least 1 episode")

    def run(self, world: FiniteMDP, policies: Policies, offline: Counts | None = None, seed: int = 0) -> Certified:
        """Play the world until the best of the policies is known.

        Args:
            world: is played; its arrays are read only by the oracle design, and for the start's probabilities.
            policies: probabilities ``[policies, horizon, states, actions]`` to choose from.
            offline: recorded data of this world; none when None.
            seed: of the episodes.

        Raises:
            UsageError: no policies, or they are not of this world.
            DataError: the data are not of this world.
        """
        policies = _checked(policies, world)
        shape = (world.horizon, world.states, world.actions)
        nothing = Counts(np.zeros((*shape, world.states)), np.zeros(shape))
        counts = nothing if offline is None else _fitting(offline, nothing)
        generator = np.random.default_rng(seed)
        alive = np.arange(len(policies))
        phases = max(1, math.ceil(math.log2(4 / self.epsilon)))
        episodes = np.zeros((phases, world.horizon), int)
        certificate, values = float(world.horizon), np.zeros(len(policies))
        for phase in range(phases):
            tolerance = 2.0 ** -(phase + 1)
            for step in range(world.horizon):
                most = self.max_episodes - int(episodes.sum())
                target = tolerance**2 / self._beta(world.horizon, len(alive), phase + 1)
                counts, played, done = self._explore(world, policies[alive], counts, step, target, most, generator)
                episodes[phase, step] = played
                if not done:
                    best = alive[values[alive].argmax()]
                    return Certified(policies[best], int(best), certificate, False, episodes[: phase + 1], alive)
            values[alive] = _values(world, policies[alive], counts)
            alive = alive[values[alive] >= values[alive].max() - 2 * tolerance]
            certificate = 0.0 if len(alive) == 1 else 4 * tolerance
            if certificate <= self.epsilon:
                break
        best = alive[values[alive].argmax()]
        return Certified(policies[best], int(best), certificate, True, episodes[: phase + 1], alive)

    def _beta(self, horizon: int, policies: int, phase: int) -> float:
        if self.beta is not None:
            return self.beta
        return 64 * horizon**4 * math.log(4 * horizon**2 * policies * phase**2 / self.delta)

    def _explore(
        self,
        world: FiniteMDP,
        policies: Policies,
        counts: Counts,
        step: int,
        target: float,
        most: int,
        generator: np.random.Generator,
    ) -> tuple[Counts, int, bool]:
        """Play until the occupancies of every policy at the step are known to the target; what was seen by then."""
        known, initial = np.asarray(world.transition, np.float64), np.asarray(world.initial, np.float64)
        known = np.broadcast_to(known, (world.horizon, *known.shape[1:]))
        played = 0
        while True:
            transition = counts.frequencies
            features = propagate(transition, initial, policies[:, : step + 1])[:, step]
            worst = uncertainty(features, counts.visits[step])
            if worst.max() <= target:
                return counts, played, True
            if played >= most:
                return counts, played, False
            gain = self._gain(features, counts.visits[step])
            if self.design == "oracle":
                actions = visit(known[:step], gain)
            else:
                actions = visit(transition[:step], gain, self._optimism(counts.visits[:step], gain))
            policy = policies.mean(0)  # after the step of interest, as the policies in question do
            policy[: step + 1] = np.eye(world.actions)[actions]
            batch = min(self.design_batch, most - played)
            fresh = draw_episodes(world, policy, batch, generator)
            counts, played = _pooled(counts, fresh), played + batch

    def _gain(self, features: Float[np.ndarray, "policies states actions"], visits: Cells) -> Cells:
        """What another visit of each cell takes off the smooth maximum of the policies' uncertainty."""
        visits = np.maximum(visits, self.unseen)
        worst = (features**2 / visits).sum((1, 2))
        weights = np.exp(self.sharpness * (worst / worst.max() - 1))
        return np.einsum("p,psa->sa", weights / weights.sum(), features**2) / visits**2

    def _optimism(self, visits: Float[np.ndarray, "steps states actions"], gain: Cells) -> np.ndarray:
        return gain.max() * np.where(visits > 0, self.bonus / np.sqrt(np.maximum(visits, 1)), 1.0)


def _values(world: FiniteMDP, policies: Policies, counts: Counts) -> Float[np.ndarray, " policies"]:
    """Values of the policies in the model of the data."""
    occupancies = propagate(counts.frequencies, np.asarray(world.initial, np.float64), policies)
    return (occupancies * counts.mean_reward).sum((1, 2, 3))


def _pooled(first: Counts, second: Counts) -> Counts:
    return Counts(first.transitions + second.transitions, first.reward_sums + second.reward_sums)


def _fitting(offline: Counts, nothing: Counts) -> Counts:
    given, expected = offline.transitions.shape, nothing.transitions.shape
    if given != expected:
        raise DataError(
            f"data were counted over {list(given)}; this world has {list(expected)} steps, states, actions and next "
            "states: count them again, step by step"
        )
    if (offline.reward_sums < 0).any() or (offline.reward_sums > offline.visits * (1 + 1e-9)).any():
        raise DataError("rewards of the data average outside [0, 1]; rescale them as the world's are")
    return offline


def _checked(policies: Policies, world: FiniteMDP) -> Policies:
    policies = np.asarray(policies, np.float64)
    expected = (world.horizon, world.states, world.actions)
    if policies.ndim != 4 or len(policies) == 0 or policies.shape[1:] != expected:
        raise UsageError(
            f"policies have the shape {list(policies.shape)}; expected [at least 1, {', '.join(map(str, expected))}]: "
            "probabilities of the actions at each step and state"
        )
    if (policies < 0).any() or np.abs(policies.sum(-1) - 1).max() > 1e-5:
        raise UsageError("policies hold rows that are not probabilities; each needs to be at least 0 and sum to 1")
    return policies
