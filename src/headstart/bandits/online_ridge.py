"""Online ridge regression: the linear predictor that fits all rounds so far, several copies side by side.

NumPy: a round is a few small products, and rounds follow each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from headstart.core.errors import DataError


class RidgeState(NamedTuple):
    """What each copy has seen.

    Attributes:
        inverse: of ``penalty * I`` plus the sum of products of its features.
        moment: sum of features times labels.
    """

    inverse: Float[np.ndarray, "copies features features"]
    moment: Float[np.ndarray, "copies features"]


@dataclass(frozen=True)
class OnlineRidge:
    """Least squares with a quadratic penalty, fitted anew every round; losses are squared errors.

    Its regret against the best linear predictor in hindsight is ``O(features * log rounds)`` for labels in [0, 1] and
    features of norm at most 1. Each round costs ``features^2`` operations a copy (Sherman and Morrison's formula).
    """

    penalty: float = 1.0
    """Weight of the squared coefficients, as many rounds' worth of unit features."""
    forward: bool = False
    """Count the features of the round at hand before predicting (Vovk 2001; Azoury and Warmuth 2001)."""

    def init(self, copies: int, features: int) -> RidgeState:
        """Nothing seen: all copies predict 0."""
        inverse = np.tile(np.eye(features) / self.penalty, (copies, 1, 1))
        return RidgeState(inverse, np.zeros((copies, features)))

    def predict(self, state: RidgeState, x: Float[np.ndarray, " features"]) -> Float[np.ndarray, " copies"]:
        """Each copy's prediction, clipped to [0, 1].

        Raises:
            DataError: features that are not finite.
        """
        if not np.isfinite(x).all():
            raise DataError("features must be finite numbers; fill in or leave out what is missing")
        along = state.inverse @ x
        predictions = np.einsum("cf,cf->c", along, state.moment)
        if self.forward:  # as if x had been seen with label 0
            predictions = predictions / (1 + along @ x)
        return np.clip(predictions, 0, 1)

    def losses(self, predictions: Float[np.ndarray, " copies"], label: float) -> Float[np.ndarray, " copies"]:
        """Squared errors; within [0, 1] for labels in [0, 1].

        Raises:
            DataError: a label outside [0, 1], or not a number.
        """
        if not 0 <= label <= 1:
            raise DataError(f"labels must lie in [0, 1], so that losses do; given {label}; rescale them")
        return (predictions - label) ** 2

    def observe(
        self, state: RidgeState, x: Float[np.ndarray, " features"], label: float, awake: Bool[np.ndarray, " copies"]
    ) -> RidgeState:
        """The copies that are awake learn; the others stay as they are. The state's arrays are changed in place."""
        inverse = state.inverse[awake]
        along = inverse @ x
        state.inverse[awake] = inverse - along[:, :, None] * (along / (1 + along @ x)[:, None])[:, None, :]
        state.moment[awake] += label * x
        return state
