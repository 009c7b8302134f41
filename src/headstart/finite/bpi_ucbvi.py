"""BPI-UCBVI: certify a good policy from scratch, by optimism and matching lower bounds.

Ménard, Domingues, Jonsson, Kaufmann, Leurent and Valko 2021 (arXiv 2007.13442), with Bernstein's widths in a simple
form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from headstart.finite.episodes import Counts
from headstart.finite.identification import Identified, Plan, bernstein, identify, mean_rewards
from headstart.finite.mdp import FiniteMDP
from headstart.finite.planning import greedy


@dataclass(frozen=True)
class BPIUCBVI:
    """Plays the policy that is best under upper bounds until upper and lower bounds of its value meet.

    The lower bound is that of the policy itself, not of the best one.
    """

    epsilon: float = 0.1
    """Accuracy to certify."""
    bonus_scale: float = 0.1
    """Multiplies the logarithm in the widths; 1 in theory, for about ten times as many episodes."""
    most_episodes: int = 10_000_000
    """When to give up; inside the logarithm, too."""

    def run(self, world: FiniteMDP, seed: int = 0) -> Identified:
        """Explore the world, told its rewards, until the policy is certified to be ``epsilon``-optimal.

        Raises:
            UsageError: ``epsilon`` is not positive.
        """
        rewards = mean_rewards(world)
        return identify(world, lambda counts: self.plan(world, rewards, counts), self.epsilon, seed, self.most_episodes)

    def plan(self, world: FiniteMDP, rewards: np.ndarray, counts: Counts) -> Plan:
        """The optimistic policy, and how far apart the bounds of its value are."""
        horizon, states, actions = rewards.shape
        log = self.bonus_scale * math.log(2 * states * actions * horizon * self.most_episodes)
        visits, frequencies = counts.visits, counts.frequencies
        upper, lower, policy = np.zeros(states), np.zeros(states), np.zeros(rewards.shape)
        for step in reversed(range(horizon)):
            left, seen = horizon - step, visits[step] > 0
            width = bernstein(visits[step], frequencies[step], upper, left, log).total
            best = np.minimum(left, rewards[step] + frequencies[step] @ upper + width)
            worst = np.maximum(0, rewards[step] + frequencies[step] @ lower - width)
            best, worst = np.where(seen, best, left), np.where(seen, worst, 0)
            policy[step] = greedy(best)
            upper, lower = (policy[step] * best).sum(-1), (policy[step] * worst).sum(-1)
        return Plan(policy, float(world.initial @ (upper - lower)), [policy])
