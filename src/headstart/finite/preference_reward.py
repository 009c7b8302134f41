"""A reward table learned from which of two episodes was preferred."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit

from headstart.core.errors import DataError, UsageError
from headstart.finite.episodes import Episodes, check_episodes
from headstart.finite.mdp import FiniteSpec


@dataclass(frozen=True)
class PreferenceReward:
    """Maximum likelihood in the Bradley-Terry model: preferred with probability ``sigmoid(scale (return - return'))``.

    One reward for each state and action, the same at every step. It is known up to what all pairs share, and where no
    pair differs it is 0.
    """

    scale: float = 4.0
    """How sharply preferences tell returns apart."""
    ridge: float = 0.1
    """Weight of the squared rewards, for what the preferences do not say."""
    iterations: int = 50
    """Most Newton steps; a few are enough."""

    def __post_init__(self) -> None:
        if not (self.scale > 0 and self.ridge > 0):
            raise UsageError(f"scale is {self.scale} and ridge {self.ridge}; expected both to be more than 0")

    def fit(
        self, first: Episodes, second: Episodes, preferred: Bool[np.ndarray, " pairs"], spec: FiniteSpec
    ) -> Float[np.ndarray, "states actions"]:
        """Rewards under which the preferences are likeliest.

        Args:
            first: one episode of each pair; its rewards are not looked at.
            second: the other ones.
            preferred: whether the first was preferred.
            spec: the world's.

        Raises:
            DataError: there are not as many of each, or the episodes do not fit the world.
        """
        sizes = len(first.actions), len(second.actions), len(preferred)
        if len(set(sizes)) > 1:
            raise DataError(f"{sizes[0]} first episodes, {sizes[1]} second ones and {sizes[2]} preferences; give pairs")
        difference = self.scale * (_visits(first, spec) - _visits(second, spec))
        signed = np.where(np.asarray(preferred, bool)[:, None], difference, -difference)
        rewards = np.zeros(signed.shape[1])
        for _ in range(self.iterations):
            wrong = expit(-signed @ rewards)
            gradient = 2 * self.ridge * rewards - wrong @ signed
            curvature = (signed * (wrong * (1 - wrong))[:, None]).T @ signed + 2 * self.ridge * np.eye(len(rewards))
            step = np.linalg.solve(curvature, gradient)
            rewards = rewards - step
            if np.abs(step).max() < 1e-9:
                break
        return rewards.reshape(spec.states, spec.actions)

    def prefer(self, first: Episodes, second: Episodes, generator: np.random.Generator) -> Bool[np.ndarray, " pairs"]:
        """Preferences of someone of whom the model is true, judging by the recorded rewards."""
        better = first.rewards.sum(1) - second.rewards.sum(1)
        return generator.random(len(better)) < expit(self.scale * better)


def _visits(episodes: Episodes, spec: FiniteSpec) -> Float[np.ndarray, "episodes pairs"]:
    """How often each episode took each action in each state."""
    check_episodes(episodes, spec)
    pairs = spec.states * spec.actions
    where = np.arange(len(episodes.actions))[:, None] * pairs
    where = where + episodes.observations * spec.actions + episodes.actions
    return np.bincount(where.ravel(), minlength=len(episodes.actions) * pairs).reshape(-1, pairs).astype(np.float64)
