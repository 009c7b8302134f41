"""A bandit of a hundred arms along a line, with a reference heaped at one place and a reward that peaks at another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

ARMS = 100
CONTEXT = 100
"""Numbers in a context; the reward ignores them."""


@dataclass(frozen=True)
class HundredArms:
    """Contexts that do not matter, a reference policy, and a reward by distance from a peak.

    Attributes:
        peak: the best arm.
        width: how far from it the reward reaches, in arms.
        reference: log-probabilities of the reference: a histogram of squashed Cauchy numbers, its mode near arm 20.
    """

    peak: int
    width: float
    reference: Float[np.ndarray, " arm"]

    @property
    def rewards(self) -> Float[np.ndarray, " arm"]:
        """Reward of each arm, between 0 and 1."""
        return np.exp(-(((np.arange(ARMS) - self.peak) / self.width) ** 2))

    def contexts(self, count: int, generator: np.random.Generator) -> Float[np.ndarray, "state context"]:
        """New contexts, uniform in the unit cube."""
        return generator.uniform(size=(count, CONTEXT))

    def draw_reference(self, shape: tuple[int, ...], generator: np.random.Generator) -> Int[np.ndarray, "..."]:
        """Arms drawn from the reference."""
        return generator.choice(ARMS, size=shape, p=np.exp(self.reference))


def hundred_arms(seed: int, peak: int = 70, width: float = 10.0) -> HundredArms:
    """The world of one seed; its reference is the same whatever the peak.

    Bins that none of the 10 000 numbers fell into are given a thousandth of a count, so that log-ratios stay finite.
    """
    generator = np.random.default_rng([seed, 15])
    points = np.tanh(-0.7 + 0.4 * generator.standard_cauchy(10_000))
    counts = np.histogram(points, bins=ARMS, range=(-1, 1))[0] + 1e-3
    return HundredArms(peak, width, np.log(counts / counts.sum()))
