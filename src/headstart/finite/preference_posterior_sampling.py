"""PbTS: posterior sampling from preferences (Wu and Sun 2024, arXiv 2310.14554, algorithm 2), for finite worlds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headstart.finite.mdp import FiniteMDP, FiniteSpec
from headstart.finite.planning import backward_induction
from headstart.finite.preference_learning import Policy, PreferenceLearner, PreferenceState, Trajectory
from headstart.finite.preferences import Comparisons
from headstart.finite.reward_posterior import RewardPosterior, laplace


@dataclass(frozen=True, eq=False)
class PreferencePosteriorSampling(PreferenceLearner):
    """Draw a world and rewards from their posterior, play what is best there against the policy of the round before.

    Every transition has a Dirichlet prior of its own, every step's reward of a state and action a normal one.
    """

    transition_prior: float = 1.0
    """Pseudo-count of every next state."""
    reward_precision: float = 1.0
    """One over the variance of the rewards' prior, whose mean is 0."""

    def features_of(self, spec: FiniteSpec) -> int:
        """One for every step, state and action."""
        return spec.horizon * spec.states * spec.actions

    def trajectory_features(self, state: PreferenceState, trajectory: Trajectory) -> Float[np.ndarray, " features"]:
        """Which state and action it came to at every step."""
        visited = np.zeros(state.policy.shape)
        visited[np.arange(len(visited)), trajectory.states[:-1], trajectory.actions] = 1
        return visited.ravel()

    def posterior(self, comparisons: Comparisons, start: np.ndarray) -> RewardPosterior:
        """Laplace's approximation."""
        return laplace(comparisons, self.link, self.reward_precision, start)

    def no_dynamics(self, spec: FiniteSpec) -> Float[np.ndarray, "horizon states actions next"]:
        """The prior's pseudo-counts."""
        return np.full((spec.horizon, spec.states, spec.actions, spec.states), self.transition_prior)

    def learn_dynamics(self, dynamics: np.ndarray, trajectory: Trajectory) -> np.ndarray:
        """Count an episode's transitions."""
        counts = dynamics.copy()
        counts[np.arange(len(counts)), trajectory.states[:-1], trajectory.actions, trajectory.states[1:]] += 1
        return counts

    def plan(self, state: PreferenceState, generator: np.random.Generator) -> Policy:
        """What is best in the world drawn."""
        weights = generator.standard_gamma(state.dynamics)
        transition = weights / weights.sum(-1, keepdims=True)
        rewards = state.posterior.draw(generator).reshape(state.policy.shape)
        start = np.eye(state.policy.shape[1])[0]  # plans are the same for every start
        return backward_induction(FiniteMDP(transition, rewards, start, len(rewards))).policy
