"""LSVI-UCB-Ent: demonstration-regularised exploration of worlds that are linear in known features.

Tiapkin et al. 2023 (arXiv 2310.17303): ``demo_regularized.DemoRegularizedRL`` with ridge regressions in place of
frequencies and elliptical widths in place of Bernstein's. Its episodes grow with the dimension, not with the states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.finite.episodes import Counts
from headstart.finite.features import checked_features
from headstart.finite.identification import Identified, Plan, Policy, identify, mean_rewards
from headstart.finite.mdp import FiniteMDP
from headstart.finite.planning import greedy, soft_maximum
from headstart.finite.policies import checked_policy


@dataclass(frozen=True, eq=False)
class LSVIUCBEnt:
    """Optimistic least-squares value iteration where leaving a prior policy costs, with a certificate.

    The certificate adds, backwards, half the squared width of the least known action over the temperature, and what is
    predicted of the step after. Theory's constants and this form of its stopping rule are reconstructed, not read.
    """

    features: Float[np.ndarray, "states actions dimension"]
    """In which the world is linear, such as ``LinearMDP.features``; norms of at most 1."""
    epsilon: float = 0.1
    """Accuracy to certify, as that of ``DemoRegularizedRL``."""
    bonus_scale: float = 0.2
    """The width is ``bonus_scale (steps left) sqrt(dimension log(2 dimension horizon most_episodes))`` times the
    elliptical norm; a constant above 1 times the root of the dimension more in theory. Far below the default, it does
    not hold everything that is possible before anything is seen."""
    ridge: float = 1.0
    """Multiple of the identity in every design."""
    deviate: bool = True
    """Whether exploration leaves the policy at one step for the action known least."""
    most_episodes: int = 1_000_000
    """When to give up; inside the logarithm, too."""

    def __post_init__(self) -> None:
        checked_features(self.features)
        if not (self.ridge > 0 and self.bonus_scale >= 0):
            raise UsageError(f"ridge is {self.ridge}, bonus_scale {self.bonus_scale}; expected above 0 and at least 0")

    def run(self, world: FiniteMDP, prior: Policy, temperature: float, seed: int = 0) -> Identified:
        """Explore until the policy is certified to be ``epsilon / 2``-optimal in the regularised world.

        Args:
            world: only ever played; its mean rewards are told.
            prior: the imitation, such as ``LogLinearCloning``'s.
            temperature: price of divergence from it; see ``demo_regularized.temperature_for``.
            seed: of the episodes.

        Raises:
            UsageError: the temperature or ``epsilon`` is not positive, or the features are not of the world.
            DataError: the prior is no policy of this world.
        """
        if not temperature > 0:
            raise UsageError(f"temperature is {temperature}; expected more than 0")
        if self.features.shape[:2] != (world.states, world.actions):
            raise UsageError(
                f"features are of {self.features.shape[0]} states and {self.features.shape[1]} actions, the world has "
                f"{world.states} and {world.actions}"
            )
        prior, rewards = checked_policy(world, prior), mean_rewards(world)

        def plan(counts: Counts) -> Plan:
            return self.plan(world, rewards, prior, temperature, counts)

        return identify(world, plan, self.epsilon / 2, seed, self.most_episodes)

    def plan(self, world: FiniteMDP, rewards: np.ndarray, prior: Policy, temperature: float, counts: Counts) -> Plan:
        """The optimistic policy, the bound of its gap, and the policies that explore around it."""
        horizon, states, actions = rewards.shape
        flat = self.features.reshape(states * actions, -1)
        dimension = flat.shape[1]
        factor = self.bonus_scale * math.sqrt(dimension * math.log(2 * dimension * horizon * self.most_episodes))
        upper, lower, gap = np.zeros(states), np.zeros(states), np.zeros(states)
        policy, least_known = np.zeros(rewards.shape), np.zeros(rewards.shape)
        for step in reversed(range(horizon)):
            left, visits = horizon - step, counts.visits[step].ravel()
            design = self.ridge * np.eye(dimension) + (flat * visits[:, None]).T @ flat
            solved = np.linalg.solve(design, flat.T)  # [dimension, cells]
            norm = np.sqrt(np.maximum(np.einsum("cd,dc->c", flat, solved), 0)).reshape(states, actions)
            moved = solved.T @ (flat.T @ counts.transitions[step].reshape(states * actions, states))
            predict = moved.reshape(states, actions, states)
            width = factor * left * norm
            best = np.clip(rewards[step] + predict @ upper + width, 0, left)
            worst = np.clip(rewards[step] + predict @ lower - width, 0, left)
            worst = np.minimum(worst, best)
            upper, policy[step] = soft_maximum(best, prior[step], temperature)
            lower, _ = soft_maximum(worst, prior[step], temperature)
            later = np.clip(predict @ gap + width * np.minimum(gap.max() / left, 1), 0, left)
            unknown = np.where(prior[step] > 0, best - worst, -np.inf)
            gap = np.minimum(left, unknown.max(-1) ** 2 / (2 * temperature) + (policy[step] * later).sum(-1))
            least_known[step] = greedy(unknown)
        explore = [policy]
        if self.deviate:
            explore += [np.where(np.arange(horizon)[:, None, None] == at, least_known, policy) for at in range(horizon)]
        return Plan(policy, float(world.initial @ gap), explore)
