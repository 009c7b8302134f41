"""A game between answers in which preferences may go in circles, and how far a policy is from its equilibrium."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from headstart.envs.preference_bandits import normalised

Strategy = Float[np.ndarray, "*batch response"]
"""Log-probabilities of responses."""


@dataclass(frozen=True)
class PreferenceGame:
    """Two players each give a response; the one whose response is preferred wins, and both pay to leave a reference.

    Attributes:
        preference: probability that the response of the line is preferred to that of the column.
        reference: log-probabilities of the reference policy.
    """

    preference: Float[np.ndarray, "response response"]
    reference: Float[np.ndarray, " response"]

    @property
    def responses(self) -> int:
        """How many responses there are."""
        return len(self.reference)

    def win_rates(self, policy: Strategy) -> Strategy:
        """Probability of each response to be preferred to one drawn from the policy."""
        return np.exp(policy) @ self.preference.T

    def kl(self, policy: Strategy) -> Float[np.ndarray, "*batch"]:
        """KL(policy || reference), in nats."""
        return (np.exp(policy) * (policy - self.reference)).sum(-1)

    def duality_gap(self, policy: Strategy, tau: float) -> Float[np.ndarray, "*batch"]:
        """How much both players together could gain by best responses to the policy; 0 at the equilibrium alone.

        A best response has a closed form where leaving the reference costs ``tau`` > 0 times the divergence from it.
        """
        exponent = self.reference + self.win_rates(policy) / tau
        top = exponent.max(-1)
        response = tau * (top + np.log(np.exp(exponent - top[..., None]).sum(-1)))
        return 2 * (response + tau * self.kl(policy)) - 1

    def mirror_step(self, policy: Strategy, eta: float, tau: float) -> Strategy:
        """One exact step of online mirror descent against oneself, of size 1 / eta."""
        anchor = tau / eta * self.reference + (1 - tau / eta) * policy
        return normalised(anchor + self.win_rates(policy) / eta)

    def wins(
        self, first: Int[np.ndarray, "*pair"], second: Int[np.ndarray, "*pair"], generator: np.random.Generator
    ) -> np.ndarray:
        """Whether the annotator preferred the first of each pair, drawn at random."""
        return generator.random(np.shape(first)) < self.preference[first, second]


def cyclic_game(seed: int, responses: int = 9, cycle: float = 3.0) -> PreferenceGame:
    """Each response beats the next half of the circle, more or less as their qualities differ.

    Args:
        seed: of the qualities and the reference.
        responses: an odd number.
        cycle: how much the circle counts; 0 leaves preferences that a reward explains.
    """
    generator = np.random.default_rng([seed, 14])
    behind = (np.arange(responses)[None] - np.arange(responses)[:, None]) % responses
    circle = np.where(behind == 0, 0, np.where(behind <= responses // 2, 1, -1))
    quality = generator.normal(size=responses)
    preference = 1 / (1 + np.exp(-(cycle * circle + quality[:, None] - quality[None])))
    return PreferenceGame(preference, normalised(0.5 * generator.normal(size=responses)))
