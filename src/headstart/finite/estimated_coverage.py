"""How well recorded data cover a policy, told from the data alone: ``coverage`` for worlds that are not known.

The policy's occupancy is propagated through the empirical world. Where the data stop, so does the estimate: the mass
that is lost there is reported beside it, because beyond it the true coefficient may be anything, infinity included.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, UsageError
from headstart.finite.episodes import Counts


class CoverageEstimate(NamedTuple):
    """What data say of how well they cover a policy."""

    concentrability: float
    """The largest ratio of the policy's occupancy to the data's, over what the data hold: ``C*`` for the optimal
    policy. 1 if the data are the policy's own. Cells that were seen seldom make it noisy, and rather too large."""
    cell: tuple[int, ...]
    """Where that is: step (episodic data only), state and action."""
    unseen: float
    """Probability that an episode of the policy does something of which there is no example (discounted data: share of
    its discounted time). While it is above 0 the data do not cover the policy: it is infinitely concentrated there."""


def estimate_concentrability(counts: Counts, policy: Float[np.ndarray, "horizon states actions"]) -> CoverageEstimate:
    """The single-policy concentrability of recorded episodes; of the rows of a contextual bandit where the horizon is
    1 and states are contexts.

    Args:
        counts: of whole episodes, step by step, as ``episodes.count`` makes them.
        policy: probabilities of what is to be covered, such as an expert's.

    Raises:
        DataError: there are no episodes, or the policy is of another shape or not made of probabilities.
    """
    visits, chances = counts.visits, _checked(counts, policy, 3)
    recorded, unseen = visits[0].sum(), 0.0
    present, occupancy = visits[0].sum(-1) / recorded, np.zeros(visits.shape)
    for step in range(len(visits)):
        occupancy[step] = present[:, None] * chances[step]
        unseen += float(occupancy[step][visits[step] == 0].sum())
        present = np.einsum("sa,san->n", occupancy[step], counts.frequencies[step])
    return _estimate(occupancy, visits / recorded, min(unseen, 1.0))


def estimate_discounted_concentrability(
    counts: Counts, policy: Float[np.ndarray, "states actions"], initial: ArrayLike, discount: float
) -> CoverageEstimate:
    """The same of transitions of a world without end.

    Args:
        counts: of transitions, as ``Transitions.counts`` makes them.
        policy: probabilities of what is to be covered.
        initial: probabilities ``[states]`` of the start.
        discount: in [0, 1).

    Raises:
        DataError: there are no transitions, or the policy or the start are of another shape or not made of
            probabilities.
        UsageError: the discount is outside [0, 1).
    """
    if not 0 <= discount < 1:
        raise UsageError(f"discount is {discount}; expected one in [0, 1)")
    visits, chances = counts.visits, _checked(counts, policy, 2)
    start = np.asarray(initial, np.float64)
    if start.shape != visits.shape[:1] or (start < 0).any() or abs(start.sum() - 1) > 1e-6:
        raise DataError(f"initial is {start}; expected {len(visits)} probabilities that sum to 1")
    moves = np.einsum("sa,san->sn", chances, counts.frequencies)
    present = np.linalg.solve(np.eye(len(start)) - discount * moves.T, (1 - discount) * start)
    occupancy = np.maximum(present, 0)[:, None] * chances
    lost = float(occupancy[visits == 0].sum())
    return _estimate(occupancy, visits / visits.sum(), min(lost / (1 - discount), 1.0))


def _estimate(occupancy: np.ndarray, data: np.ndarray, unseen: float) -> CoverageEstimate:
    ratio = np.divide(occupancy, data, out=np.zeros_like(occupancy), where=data > 0)
    cell = np.unravel_index(int(ratio.argmax()), ratio.shape)
    return CoverageEstimate(float(ratio.max()), tuple(int(index) for index in cell), unseen)


def _checked(counts: Counts, policy: np.ndarray, axes: int) -> np.ndarray:
    visits, chances = counts.visits, np.asarray(policy, np.float64)
    if visits.ndim != axes or chances.shape != visits.shape:
        wanted = "[horizon, states, actions]" if axes == 3 else "[states, actions]"
        raise DataError(
            f"visits and policy have the shapes {list(visits.shape)} and {list(chances.shape)}; expected {wanted} of "
            "both"
        )
    if visits.sum() == 0:
        raise DataError("no data were given; coverage of a policy by nothing cannot be told")
    if (chances < 0).any() or np.abs(chances.sum(-1) - 1).max() > 1e-5:
        raise DataError("the policy holds rows that are not probabilities; each needs to be at least 0 and sum to 1")
    return chances
