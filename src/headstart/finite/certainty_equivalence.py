"""Act as is best in the empirical world, as if it were the true one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headstart.finite.episodes import Episodes, count
from headstart.finite.mdp import FiniteSpec
from headstart.finite.planning import greedy


@dataclass(frozen=True)
class CertaintyEquivalence:
    """Backward induction with empirical frequencies; what was never tried is taken to pay nothing.

    That is a hidden pessimism, which makes learning from data alone look better than it is.
    """

    spec: FiniteSpec

    def fit(self, data: Episodes) -> Float[np.ndarray, "horizon states actions"]:
        """The policy; ties go to the lowest action."""
        counts = count(data, self.spec)
        value, policy = np.zeros(self.spec.states), []
        for reward, frequencies in zip(counts.mean_reward[::-1], counts.frequencies[::-1], strict=True):
            quality = reward + frequencies @ value
            value = quality.max(-1)
            policy.insert(0, greedy(quality))
        return np.stack(policy)
