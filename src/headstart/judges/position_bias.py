"""Whether a judge that compares two answers leans to the one it is shown first."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float

TOLERATED = 0.1
"""Mean position bias above which a judge is warned of."""


def warn_of_position_bias(bias: Float[np.ndarray, " pair"]) -> None:
    """Warn where |P(a, b) + P(b, a) - 1| is above 0.1 on average; not-a-numbers are left out."""
    known = bias[~np.isnan(bias)]
    size = float(np.abs(known).mean()) if len(known) else 0.0
    if size > TOLERATED:
        lean = float(known.mean())
        warnings.warn(
            f"the judge's probabilities change by {size:.2f} on average with the order of the two answers, and favour"
            f" the {'first' if lean > 0 else 'second'} by {abs(lean):.2f} ({len(known)} pairs); the average over both"
            " orders is used",
            stacklevel=3,
        )
