"""PR-LSVI: preferences, least squares and Gaussian noise (Wu and Sun 2024, arXiv 2310.14554, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, UsageError
from headstart.finite.mdp import FiniteSpec
from headstart.finite.planning import greedy
from headstart.finite.preference_learning import Policy, PreferenceLearner, PreferenceState, Trajectory
from headstart.finite.preferences import Comparisons, most_likely_rewards
from headstart.finite.reward_posterior import RewardPosterior


class LinearDynamics(NamedTuple):
    """Sums over all transitions, step by step, that regressions on the features of states and actions rest on."""

    features: Float[np.ndarray, "states actions features"]
    gram: Float[np.ndarray, "horizon features features"]
    """``ridge I + sum phi phi^T``."""
    following: Float[np.ndarray, "horizon features states"]
    """``sum phi e_next^T``: times a function of the next state, the right-hand side of its regression."""


@dataclass(frozen=True, eq=False)
class PRLSVI(PreferenceLearner):
    """Least-squares value iteration on noisy rewards and noisy values, in a world linear in features.

    Rewards of step ``h`` are ``<phi(s, a), theta_h>`` and expectations over the next state are linear in ``phi`` too. A
    round costs one draw of rewards and ``horizon`` ridge regressions, however many rounds have been played.
    """

    features: ArrayLike | None = None
    """``phi``, ``[states, actions, features]``, of length at most 1; when None, each pair has its own."""
    reward_noise: float = 0.8
    """Standard deviation of rewards, sigma_r. Theory's is a polynomial in the sizes, too large to learn anything.
    With 0.15, a third of all runs settle on a wrong policy for good, as exploring and asking both scale with it."""
    value_noise: float = 0.6
    """Standard deviation of regressed values, sigma_P; as above."""
    trusted: float = 0.35
    """Below this uncertainty ``|phi|`` (in the norm of the inverse Gram matrix) a value is trusted fully, alpha_L: with
    one feature each, after some seven visits. Theory's is one over a polynomial in the sizes."""
    unknown: float = 0.7
    """Above this uncertainty it is not trusted at all: the largest possible value stands in, alpha_U."""
    ridge: float = 1.0
    """Of the regressions and of the rewards' covariance."""
    reward_ridge: float = 0.3
    """Of the rewards' fit; in place of the paper's bound on their length."""

    def __post_init__(self) -> None:
        if not 0 <= self.trusted < self.unknown:
            raise UsageError(
                f"trusted is {self.trusted} and unknown {self.unknown}; expected 0 <= trusted < unknown: between them "
                "a value is trusted in part"
            )

    def features_of(self, spec: FiniteSpec) -> int:
        """Features of states and actions, once for every step."""
        return spec.horizon * self._features(spec).shape[-1]

    def trajectory_features(self, state: PreferenceState, trajectory: Trajectory) -> Float[np.ndarray, " features"]:
        """Those of its states and actions, step after step."""
        return state.dynamics.features[trajectory.states[:-1], trajectory.actions].ravel()

    def posterior(self, comparisons: Comparisons, start: np.ndarray) -> RewardPosterior:
        """The most likely rewards; covariance ``reward_noise² (ridge I + sum x x^T)⁻¹``."""
        x = comparisons.differences
        mean = most_likely_rewards(comparisons, self.link, self.reward_ridge, start)
        return RewardPosterior.of_precision(mean, x.T @ x + self.ridge * np.eye(len(mean)), self.reward_noise)

    def no_dynamics(self, spec: FiniteSpec) -> LinearDynamics:
        """No transitions yet."""
        features = self._features(spec)
        count = features.shape[-1]
        gram = np.tile(self.ridge * np.eye(count), (spec.horizon, 1, 1))
        return LinearDynamics(features, gram, np.zeros((spec.horizon, count, spec.states)))

    def learn_dynamics(self, dynamics: LinearDynamics, trajectory: Trajectory) -> LinearDynamics:
        """Add an episode to the sums."""
        phi = dynamics.features[trajectory.states[:-1], trajectory.actions]
        gram = dynamics.gram + phi[:, :, None] * phi[:, None, :]
        following = dynamics.following.copy()
        steps = np.arange(len(phi))
        following[steps, :, trajectory.states[1:]] += phi
        return dynamics._replace(gram=gram, following=following)

    def plan(self, state: PreferenceState, generator: np.random.Generator) -> Policy:
        """Greedy for values that are noisy where they are known, and as large as can be where they are not."""
        features, gram, following = state.dynamics
        horizon, states = len(gram), features.shape[0]
        covariance = np.linalg.inv(gram)
        uncertainty = np.sqrt(np.einsum("sai,hij,saj->hsa", features, covariance, features))
        trust = np.clip((self.unknown - uncertainty) / (self.unknown - self.trusted), 0, 1)
        rewards = state.posterior.draw(generator).reshape(horizon, -1)
        noise = generator.standard_normal(rewards.shape)[..., None]
        noise = self.value_noise * (np.linalg.cholesky(covariance) @ noise)[..., 0]

        values, action_values = np.zeros(states), np.zeros(trust.shape)
        for step in reversed(range(horizon)):
            most = horizon - step
            regressed = covariance[step] @ (following[step] @ values) + noise[step]
            known = features @ (rewards[step] + regressed)
            action_values[step] = trust[step] * known + (1 - trust[step]) * most
            values = np.clip(action_values[step].max(-1), -most, most)
        return greedy(action_values)

    def _features(self, spec: FiniteSpec) -> Float[np.ndarray, "states actions features"]:
        """The features as an array.

        Raises:
            DataError: they do not fit the world, or are not finite, or longer than theory assumes.
        """
        pairs = (spec.states, spec.actions)
        if self.features is None:
            return np.eye(spec.states * spec.actions).reshape(*pairs, -1)
        features = np.asarray(self.features, np.float64)
        if features.ndim != 3 or features.shape[:2] != pairs:
            raise DataError(
                f"features have the shape {list(features.shape)}; expected [{spec.states}, {spec.actions}, features]"
            )
        if not np.isfinite(features).all():
            raise DataError("features hold entries that are not finite numbers")
        longest = np.linalg.norm(features, axis=-1).max()
        if longest > 1 + 1e-6:
            raise DataError(f"a feature vector has length {longest:.3g}; divide them all by it: at most 1 is expected")
        return features
