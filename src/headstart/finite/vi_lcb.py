"""VI-LCB: value iteration on recorded transitions that trusts an action only as far as it was seen.

Rashidinejad, Zhu, Ma, Jiao and Russell 2021 (arXiv 2103.12021), Algorithm 3. NumPy: a few array operations a sweep,
for any number of data sets at once (leading axes of the counts).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.finite.episodes import Counts
from headstart.finite.transitions import Transitions


@dataclass(frozen=True)
class PessimisticPlan:
    """A policy and what it is worth at least, for each data set (leading axes).

    Attributes:
        policy: probabilities: one action in each state that was seen, all alike in the others.
        lower_value: of the policy, from each state; certain (with the failure probability) only for theory's constants.
        coverage: fraction of the states that were seen.
    """

    policy: Float[np.ndarray, "*lead states actions"]
    lower_value: Float[np.ndarray, "*lead states"]
    coverage: Float[np.ndarray, "*lead"]


@dataclass(frozen=True)
class VILCB:
    """Value iteration with lower confidence bounds.

    What is more than a subtracted width: values only ever rise, from 0, and the policy changes only where they do, so
    that the value stays a lower bound of the policy's; and where nothing was seen, the width is largest.

    Ties go to the lowest action.
    """

    discount: float = 0.99
    """In [0, 1)."""
    penalty_scale: float = 0.1
    """The width is ``penalty_scale / (1 - discount) sqrt(log(2 states actions / failure_probability) / visits)``. The
    analysis has sqrt(2000), 44.7. At 0 this is value iteration from 0 on the empirical world."""
    width: Literal["hoeffding", "bernstein"] = "hoeffding"
    """``bernstein``: ``sqrt(scale log(...) variance / visits) + scale log(...) / (1 - discount) / visits``, with the
    variance of the next value and of a reward in {0, 1} (Li, Shi, Chen, Chi and Wei 2022)."""
    sweeps: int | None = 200
    """None: ``log(rows) / (1 - discount)``, the analysis's."""
    data_splitting: bool = False
    """Whether every sweep has a part of the data of its own, as the analysis needs; it costs most of the accuracy."""
    failure_probability: float | None = None
    """None: one over the number of transitions, the paper's."""

    def __post_init__(self) -> None:
        if not 0 <= self.discount < 1:
            raise UsageError(f"discount is {self.discount}; expected one in [0, 1)")
        if self.penalty_scale < 0:
            raise UsageError(f"penalty_scale is {self.penalty_scale}; expected 0 or more")
        if self.failure_probability is not None and not 0 < self.failure_probability < 1:
            raise UsageError(f"failure_probability is {self.failure_probability}; expected one in (0, 1), or None")
        if self.sweeps is not None and self.sweeps < 1:
            raise UsageError(f"sweeps is {self.sweeps}; expected 1 or more, or None")

    def fit(self, data: Transitions, seed: int = 0) -> PessimisticPlan:
        """Plan with recorded transitions; warns where there are none.

        Args:
            data: the transitions.
            seed: of the random split, where data are split.
        """
        if len(data) == 0:
            warnings.warn("no transitions were given: the policy is uniform", stacklevel=2)
        if self.data_splitting:
            return self.plan_split(data.split(self._sweeps(len(data)) + 1, seed))
        return self.plan(data.counts())

    def plan(self, counts: Counts) -> PessimisticPlan:
        """Plan with the same counts, ``[*lead, states, actions]``, in every sweep."""
        rows = counts.visits.sum((-2, -1)).max(initial=1)
        return self._iterate(counts.visits, counts.visits, [counts] * self._sweeps(rows))

    def plan_split(self, parts: Sequence[Counts]) -> PessimisticPlan:
        """Plan with parts of the data: the first chooses the first policy, each other one is for one sweep."""
        visits = [part.visits for part in parts]
        return self._iterate(np.sum(visits, axis=0), visits[0], parts[1:])

    def _iterate(self, seen: np.ndarray, first: np.ndarray, sweeps: Sequence[Counts]) -> PessimisticPlan:
        """Sweep over the counts, from the policy of the most frequent actions of ``first``."""
        rows = np.maximum(seen.sum((-2, -1)), 1)
        best = first.argmax(-1)
        value = np.zeros(best.shape)
        log = self._log(rows, seen.shape[-2] * seen.shape[-1], len(sweeps))
        for part in sweeps:
            quality = part.mean_reward - self._width(part, log, value) + _expected(part, self.discount * value)
            better = quality.max(-1) > value
            best = np.where(better, quality.argmax(-1), best)
            value = np.where(better, quality.max(-1), value)
        actions, met = seen.shape[-1], seen.sum(-1) > 0
        policy = np.where(met[..., None], best[..., None] == np.arange(actions), 1 / actions)
        return PessimisticPlan(policy, value, met.mean(-1))

    def _width(self, part: Counts, log: np.ndarray, value: np.ndarray) -> np.ndarray:
        visits, largest = np.maximum(part.visits, 1), 1 / (1 - self.discount)
        if self.width == "hoeffding":
            return self.penalty_scale * largest * np.sqrt(log / visits)
        later, reward = self.discount * value, part.mean_reward
        variance = _expected(part, later**2) - _expected(part, later) ** 2 + reward * (1 - reward)
        scaled = self.penalty_scale * log / visits
        return np.sqrt(scaled * np.maximum(variance, 0)) + scaled * largest

    def _log(self, rows: np.ndarray, cells: int, sweeps: int) -> np.ndarray:
        """The logarithm in the width; with split data it covers every sweep."""
        failure = 1 / rows if self.failure_probability is None else np.full(rows.shape, self.failure_probability)
        times = sweeps + 1 if self.data_splitting else 1
        return np.log(2 * times * cells / failure)[..., None, None]

    def _sweeps(self, rows: float) -> int:
        if self.sweeps is not None:
            return self.sweeps
        return max(1, math.ceil(math.log(max(rows, 2)) / (1 - self.discount)))


def _expected(part: Counts, value: np.ndarray) -> np.ndarray:
    """Mean of ``value [*lead, states]`` over what followed each action."""
    return (part.frequencies @ value[..., None, :, None])[..., 0]
