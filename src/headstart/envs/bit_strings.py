"""Strings of independent bits: a model whose likeliest answer is known, and rarer the longer the string."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class BitStrings:
    """Independent bits, each likelier 1 than 0, so that the string of ones is the likeliest.

    Attributes:
        log_odds: of each bit to be 1; all positive.
    """

    log_odds: Float[np.ndarray, " bit"]

    @property
    def coverage(self) -> float:
        """One over the probability of the likeliest string."""
        return float(np.exp(-self.log_probability(np.ones((1, len(self.log_odds)), int))[0]))

    def log_probability(
        self, strings: Int[np.ndarray, "*batch bit"], log_odds: Float[np.ndarray, " bit"] | None = None
    ) -> Float[np.ndarray, "*batch"]:
        """Log-probability of strings under these bits, or under others of the same length."""
        odds = self.log_odds if log_odds is None else log_odds
        return -np.logaddexp(0, np.where(strings > 0, -odds, odds)).sum(-1)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Int[np.ndarray, "*batch bit"]:
        """Strings drawn from the model."""
        chance = 1 / (1 + np.exp(-self.log_odds))
        return (generator.random((*shape, len(chance))) < chance).astype(np.int64)

    def sharpened(self, beta: float) -> float:
        """Probability of the likeliest string under the model raised to the power 1 + 1 / beta."""
        return float(np.exp(-np.logaddexp(0, -self.log_odds * (1 + 1 / beta)).sum()))


def bit_strings(seed: int, bits: int) -> BitStrings:
    """The world of one seed: log-odds 0.15 plus half of a normal number's size."""
    generator = np.random.default_rng([seed, 16, bits])
    return BitStrings(np.abs(generator.normal(0, 0.5, size=bits)) + 0.15)
