"""Features of states and actions that users bring along: refused if they cannot be, warned of if theory breaks."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.finite.linear import check_norms
from headstart.finite.mdp import Numbers


def checked_features(
    features: Float[Numbers, "states actions dimension"], of: tuple[int, int] | None = None
) -> Float[np.ndarray, "states actions dimension"]:
    """Features as float64. Warns where norms exceed 1, and where the features of all states and actions together do
    not span their dimensions.

    Args:
        features: ``[states, actions, dimension]``.
        of: states and actions of the world, where it is known.

    Raises:
        UsageError: another shape, or numbers that are not finite; the first such entry is named.
    """
    given = np.asarray(features, np.float64)
    if given.ndim != 3 or 0 in given.shape:
        raise UsageError(f"features have the shape {list(given.shape)}; expected [states, actions, dimension]")
    if of is not None and given.shape[:2] != of:
        raise UsageError(
            f"features are of {given.shape[0]} states and {given.shape[1]} actions, the world has {of[0]} and {of[1]}"
        )
    wrong = ~np.isfinite(given).all(-1)
    if wrong.any():
        state, action = np.argwhere(wrong)[0]
        raise UsageError(
            f"the feature of state {state}, action {action} is {given[state, action].tolist()}; expected finite "
            f"numbers ({np.count_nonzero(wrong)} of {wrong.size} features have others): fill in or leave out what is "
            "missing"
        )
    check_norms(given)
    flat = given.reshape(-1, given.shape[-1])
    rank = int(np.linalg.matrix_rank(flat))
    if rank < flat.shape[1]:
        warnings.warn(
            f"the features span {rank} of {flat.shape[1]} dimensions, so every design is rank-deficient: weights in "
            "the others are the ridge's alone, and bounds in the dimension are wider than they need to be; leave out "
            "features that others determine",
            stacklevel=3,
        )
    return given
