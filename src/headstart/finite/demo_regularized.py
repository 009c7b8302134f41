"""Demonstration-regularised reinforcement learning: explore, but pay for leaving what was demonstrated.

Tiapkin, Belomestny, Calandriello, Moulines, Naumov, Perrault, Valko and Ménard 2023 (arXiv 2310.17303), UCBVI-Ent+. The
better the demonstrator is known, the dearer leaving may be, and the fewer episodes a certificate takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.finite.episodes import Counts
from headstart.finite.identification import Identified, Plan, Policy, bernstein, identify, mean_rewards
from headstart.finite.mdp import FiniteMDP
from headstart.finite.planning import greedy, soft_maximum
from headstart.finite.policies import checked_policy


def temperature_for(epsilon: float, divergence: float) -> float:
    """The price of divergence at which following the demonstrator costs half of ``epsilon``.

    Args:
        epsilon: accuracy of the policy that is sought, in the world's own rewards.
        divergence: of the demonstrator from its imitation, as ``trajectory_divergence`` or ``held_out_divergence`` say.

    Raises:
        UsageError: the divergence is not positive, so that no price follows from it.
    """
    if not divergence > 0:
        raise UsageError(f"the divergence is {divergence}; it needs to be positive to choose a temperature: give one")
    return epsilon / (2 * divergence)


@dataclass(frozen=True)
class DemoRegularizedRL:
    """UCBVI-Ent+: value iteration with a bonus in the world where leaving a prior policy costs.

    Smoothness of the soft maximum makes it enough to know action values to about ``sqrt(temperature epsilon)``, not
    ``epsilon``: the gap below grows with the square of their width. It needs every action to be known along the
    policy's way, so exploration leaves that way at one random step for the action that is known least.
    """

    epsilon: float = 0.1
    """Accuracy to certify, in the world's own rewards. With ``temperature_for(epsilon, divergence)``, following the
    demonstrator takes half of it, so the regularised world is solved to the other half."""
    bonus_scale: float = 0.1
    """Multiplies the logarithm in the widths; 1 in theory, for about ten times as many episodes."""
    deviate: bool = True
    """Whether exploration leaves the policy at one step; without, certificates take many more episodes."""
    most_episodes: int = 10_000_000
    """When to give up; inside the logarithm, too."""

    def run(
        self,
        world: FiniteMDP,
        prior: Policy,
        temperature: float,
        seed: int = 0,
        rewards: Float[np.ndarray, "horizon states actions"] | None = None,
    ) -> Identified:
        """Explore the world until the policy is certified to be ``epsilon / 2``-optimal in its regularised form.

        Args:
            world: only ever played.
            prior: the imitation; what it never does is never done.
            temperature: price of divergence from it.
            seed: of the episodes.
            rewards: what the learner is told of rewards, such as a reward model learned from preferences; the world's
                own when None.

        Raises:
            UsageError: the temperature or ``epsilon`` is not positive.
            DataError: the prior is no policy of this world; the first row that is none is named.
        """
        if not temperature > 0:
            raise UsageError(f"temperature is {temperature}; expected more than 0")
        prior = checked_policy(world, prior)
        told = mean_rewards(world) if rewards is None else rewards

        def plan(counts: Counts) -> Plan:
            return self.plan(world, told, prior, temperature, counts)

        return identify(world, plan, self.epsilon / 2, seed, self.most_episodes)

    def plan(self, world: FiniteMDP, rewards: np.ndarray, prior: Policy, temperature: float, counts: Counts) -> Plan:
        """The optimistic policy, the bound of its gap, and the policies that explore around it."""
        horizon, states, actions = rewards.shape
        log = self.bonus_scale * math.log(2 * states * actions * horizon * self.most_episodes)
        visits, frequencies = counts.visits, counts.frequencies
        upper, lower, gap = np.zeros(states), np.zeros(states), np.zeros(states)
        policy, least_known = np.zeros(rewards.shape), np.zeros(rewards.shape)
        for step in reversed(range(horizon)):
            left, seen, next_state = horizon - step, visits[step] > 0, frequencies[step]
            width = bernstein(visits[step], next_state, upper, left, log)
            best = np.minimum(left, rewards[step] + next_state @ upper + width.total)
            worst = np.maximum(0, rewards[step] + next_state @ lower - width.total)
            best, worst = np.where(seen, best, left), np.where(seen, worst, 0)
            upper, policy[step] = soft_maximum(best, prior[step], temperature)
            lower, _ = soft_maximum(worst, prior[step], temperature)
            later = np.where(seen, (1 + 1 / horizon) * (next_state @ gap) + width.fast, left)
            unknown = np.where(prior[step] > 0, best - worst, -np.inf)
            gap = np.minimum(left, unknown.max(-1) ** 2 / (2 * temperature) + (policy[step] * later).sum(-1))
            least_known[step] = greedy(unknown)
        explore = [policy]
        if self.deviate:
            explore += [np.where(np.arange(horizon)[:, None, None] == at, least_known, policy) for at in range(horizon)]
        return Plan(policy, float(world.initial @ gap), explore)
