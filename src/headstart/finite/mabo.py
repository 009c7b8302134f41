"""MABO.CR: the value function whose errors no weighting of the data can expose.

Amortila, Foster, Jiang, Sekhari and Xie 2024 (arXiv 2401.09681), eq. 13; after Xie and Jiang 2020, with clipped and
penalised weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headstart.finite.episodes import Episodes, count
from headstart.finite.value_class import ValueClass


@dataclass(frozen=True, eq=False)
class MABO:
    """Minimises over a value class the largest ``sum_h |mean[w error]| - alpha mean[w^2]`` over all weights of cells.

    With weights of either sign, free in every cell, the largest is taken cell by cell, at
    ``w = error / (2 alpha)``, where ``error`` is the cell's mean. As ``alpha = 8 / (gamma n)`` and errors are at most
    2, the clip at ``gamma n`` never binds, and what is minimised is ``gamma / 32`` times the sum over cells of
    ``visits error^2``: no constant is left to choose.
    """

    values: ValueClass

    def fit(self, data: Episodes) -> Float[np.ndarray, "horizon states actions"]:
        """The policy that is greedy for the minimiser; the first of several."""
        return self.values.policy(int(self.objective(data).argmin()))

    def objective(self, data: Episodes) -> Float[np.ndarray, " functions"]:
        """Of each candidate, without the constant factor."""
        counts = count(data, self.values.spec)
        return (counts.visits * self.values.residuals(counts) ** 2).sum((1, 2, 3))
