"""A finite class of action-value functions, and how far each is from satisfying Bellman's equation in data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from headstart.core.errors import DataError
from headstart.finite.episodes import Counts
from headstart.finite.mdp import FiniteMDP, FiniteSpec
from headstart.finite.planning import backward_induction, greedy


@dataclass(frozen=True, eq=False)
class ValueClass:
    """Candidates for the optimal action values. Where several are as good, learners take the first.

    Attributes:
        action_values: one candidate a row.
    """

    action_values: Float[np.ndarray, "functions horizon states actions"]

    @classmethod
    def of(cls, action_values: ArrayLike) -> ValueClass:
        """A class from its array.

        Raises:
            DataError: it has not four axes, is empty, or holds values that are not finite.
        """
        values = np.asarray(action_values, np.float64)
        if values.ndim != 4 or 0 in values.shape or not np.isfinite(values).all():
            raise DataError(
                f"action values have the shape {list(values.shape)}; expected [functions, horizon, states, actions], "
                "none of them 0, and finite numbers"
            )
        return cls(values)

    @classmethod
    def of_worlds(cls, worlds: Sequence[FiniteMDP]) -> ValueClass:
        """The optimal action values of some worlds."""
        return cls.of([backward_induction(world).action_values for world in worlds])

    def __len__(self) -> int:
        return len(self.action_values)

    @property
    def spec(self) -> FiniteSpec:
        """Of the worlds whose values these may be."""
        _, horizon, states, actions = self.action_values.shape
        return FiniteSpec(states, actions, horizon, stationary=False)

    @cached_property
    def values(self) -> Float[np.ndarray, "functions steps states"]:
        """Largest value of each state at each step; one step more than the horizon, the last is 0."""
        best = self.action_values.max(-1)
        return np.concatenate([best, np.zeros_like(best[:, :1])], axis=1)

    def policy(self, index: int) -> Float[np.ndarray, "horizon states actions"]:
        """What is greedy for one candidate; ties go to the lowest action."""
        return np.asarray(greedy(self.action_values[index]))

    def residuals(self, counts: Counts) -> Float[np.ndarray, "functions horizon states actions"]:
        """Mean temporal-difference error of each cell: ``f_h(s, a)`` minus the average of ``r + max f_{h+1}(s', .)``.

        Averaged before anything is squared, so that noise of the next state does not count as error. 0 where nothing
        was seen.
        """
        expected = np.einsum("hsan,fhn->fhsa", counts.frequencies, self.values[:, 1:])
        return np.where(counts.visits > 0, self.action_values - counts.mean_reward - expected, 0.0)
