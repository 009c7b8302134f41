"""The value function of least squared temporal-difference error: simple, and wrong where worlds are random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headstart.finite.episodes import Episodes, check_episodes
from headstart.finite.value_class import ValueClass


@dataclass(frozen=True, eq=False)
class SquaredTD:
    """Minimises the mean over transitions of ``(f_h(s, a) - r - max f_{h+1}(s', .))^2`` over a value class.

    The square also counts the variance of ``f_{h+1}`` at the next state (it would take two independent next states not
    to), so that functions that promise little are preferred.
    """

    values: ValueClass

    def fit(self, data: Episodes) -> Float[np.ndarray, "horizon states actions"]:
        """The policy that is greedy for the minimiser; the first of several."""
        return self.values.policy(int(self.objective(data).argmin()))

    def objective(self, data: Episodes) -> Float[np.ndarray, " functions"]:
        """Of each candidate, summed over transitions."""
        check_episodes(data, self.values.spec)
        steps = np.broadcast_to(np.arange(self.values.spec.horizon), data.actions.shape)
        columns = (steps, data.observations, data.actions, data.next_observations, data.rewards)
        kinds, times = np.unique(np.stack([np.ravel(column) for column in columns]), axis=1, return_counts=True)
        step, state, action, following = kinds[:4].astype(int)
        error = (
            self.values.action_values[:, step, state, action] - kinds[4] - self.values.values[:, step + 1, following]
        )
        return error**2 @ times
