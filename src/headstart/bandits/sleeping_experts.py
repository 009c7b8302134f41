"""Experts of whom only some are awake at a time: AdaNormalHedge (Luo and Schapire 2015, arXiv 1502.05934).

NumPy: one round is a handful of operations on short vectors, and rounds follow each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from headstart.core.errors import DataError, UsageError


class Regrets(NamedTuple):
    """What the combination would have gained by following each expert while that was awake.

    Attributes:
        sum: of the combination's loss less the expert's.
        magnitude: sum of the absolute differences.
    """

    sum: Float[np.ndarray, " experts"]
    magnitude: Float[np.ndarray, " experts"]


@dataclass(frozen=True)
class AdaNormalHedge:
    """Weighs awake experts by their regret so far; has no rate to tune.

    Against every expert, on the rounds it is awake, the combination's expected loss is larger by at most
    ``O(sqrt(rounds awake * log experts))``. Losses must lie in [0, 1].
    """

    def init(self, experts: int) -> Regrets:
        """No regrets yet.

        Raises:
            UsageError: there is no expert.
        """
        if experts < 1:
            raise UsageError(f"needs at least one expert; given {experts}")
        return Regrets(np.zeros(experts), np.zeros(experts))

    def weights(self, state: Regrets, awake: Bool[np.ndarray, " experts"]) -> Float[np.ndarray, " experts"]:
        """How much each expert counts; 0 for those asleep, one in all.

        The weight of an expert is ``(Phi(R + 1, C + 1) - Phi(R - 1, C + 1)) / 2`` with
        ``Phi(R, C) = exp(max(R, 0)^2 / (3 C))``; even where all these are 0.

        Raises:
            DataError: all experts are asleep, or ``awake`` is not one Boolean an expert.
        """
        if awake.shape != state.sum.shape or awake.dtype != bool:
            raise DataError(
                f"awake must be {len(state.sum)} Booleans, one an expert; given {awake.dtype} of shape "
                f"{list(awake.shape)}"
            )
        if not awake.any():
            raise DataError("all experts are asleep; include one that is always awake")
        triple = 3 * (state.magnitude[awake] + 1)
        upper = np.maximum(state.sum[awake] + 1, 0) ** 2 / triple
        lower = np.maximum(state.sum[awake] - 1, 0) ** 2 / triple
        # All weights times exp(-top): their ratios are kept where the exponentials themselves would overflow.
        top = upper.max()
        scaled = np.exp(upper - top) - np.exp(lower - top)
        total = scaled.sum()
        weights = np.zeros(len(awake))
        weights[awake] = scaled / total if total > 0 else 1 / len(scaled)
        return weights

    def observe(
        self,
        state: Regrets,
        awake: Bool[np.ndarray, " experts"],
        weights: Float[np.ndarray, " experts"],
        losses: Float[np.ndarray, " experts"],
    ) -> Regrets:
        """The regrets after a round.

        Args:
            state: before it.
            awake: who was awake.
            weights: what ``weights`` gave.
            losses: of each expert; those of experts asleep do not count.

        Raises:
            DataError: a loss of an expert who was awake is outside [0, 1].
        """
        seen = losses[awake]
        if not np.all((seen >= 0) & (seen <= 1)):
            raise DataError(f"losses must lie in [0, 1]; given {seen.min():g} to {seen.max():g}; rescale them")
        difference = np.where(awake, weights[awake] @ seen - np.where(awake, losses, 0.0), 0.0)
        return Regrets(state.sum + difference, state.magnitude + np.abs(difference))
