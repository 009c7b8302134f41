"""Of some worlds, the one that makes the data likeliest; act as is best there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.special import xlog1py, xlogy

from headstart.core.errors import UsageError
from headstart.finite.episodes import Episodes, count
from headstart.finite.mdp import FiniteMDP
from headstart.finite.planning import backward_induction


class MaximumLikelihood:
    """Model-based offline learning with a finite class of worlds, whose rewards are 0 or 1.

    Args:
        worlds: the candidates; the first of several that are as likely is taken.

    Raises:
        UsageError: there are none, or they differ in shape, or one has rewards that are not 0 or 1.
    """

    def __init__(self, worlds: Sequence[FiniteMDP]) -> None:
        self.worlds = list(worlds)
        specs = {world.spec for world in self.worlds}
        if len(specs) != 1 or any(world.reward_noise != "bernoulli" for world in self.worlds):
            raise UsageError(f"given worlds of {len(specs)} kinds; expected one kind, with bernoulli rewards")
        (self.spec,) = specs

    def fit(self, data: Episodes) -> Float[np.ndarray, "horizon states actions"]:
        """An optimal policy of the likeliest world."""
        return backward_induction(self.worlds[int(self.log_likelihood(data).argmax())]).policy

    def log_likelihood(self, data: Episodes) -> Float[np.ndarray, " worlds"]:
        """Of the transitions and rewards, given states and actions; minus infinity where they are impossible."""
        counts = count(data, self.spec, pooled=self.spec.stationary)
        transition, reward = self._tables
        cells = xlogy(counts.reward_sums, reward) + xlog1py(counts.visits - counts.reward_sums, -reward)
        return (xlogy(counts.transitions, transition).sum(-1) + cells).sum((1, 2, 3))

    @cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        return (
            np.stack([np.asarray(world.transition) for world in self.worlds]),
            np.stack([np.asarray(world.reward) for world in self.worlds]),
        )
