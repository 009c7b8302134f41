"""Choosing arms from a log alone: by a lower confidence bound, by the mean, or as the log's author chose most often.

Rashidinejad, Zhu, Ma, Jiao and Russell 2021 (arXiv 2103.12021), Algorithms 1 (one context) and 2. NumPy: one array
operation for any number of logs, which are leading axes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, UsageError

Policy = Float[np.ndarray, "*logs contexts arms"]
"""Probabilities of the arms in each context: a single arm where the context was seen, all alike elsewhere."""


@dataclass(frozen=True)
class ArmCounts:
    """What a log says of each arm in each of finitely many contexts; a bandit without context has one.

    Attributes:
        plays: how often it was played.
        rewards: sum of its rewards, each within [0, 1].
    """

    plays: Float[np.ndarray, "*logs contexts arms"]
    rewards: Float[np.ndarray, "*logs contexts arms"]

    @classmethod
    def of(cls, contexts: ArrayLike, arms: ArrayLike, rewards: ArrayLike, n_contexts: int, n_arms: int) -> ArmCounts:
        """Count the rows of a log.

        Raises:
            DataError: the columns differ in length, contexts or arms are not whole numbers in range, or rewards are
                not within [0, 1].
        """
        context, arm, reward = np.asarray(contexts), np.asarray(arms), np.asarray(rewards, np.float64)
        if context.shape != arm.shape or arm.shape != reward.shape or reward.ndim != 1:
            raise DataError(
                f"columns have the shapes {context.shape}, {arm.shape}, {reward.shape}; expected equal ones"
            )
        for name, column, below in (("contexts", context, n_contexts), ("arms", arm, n_arms)):
            if column.size and (column.dtype.kind not in "iu" or column.min() < 0 or column.max() >= below):
                raise DataError(f"{name} must be whole numbers from 0 to {below - 1}; given type {column.dtype}")
        if not ((reward >= 0) & (reward <= 1)).all():
            raise DataError("rewards must be numbers within [0, 1]; rescale them")
        cell, size = context.astype(np.int64) * n_arms + arm.astype(np.int64), n_contexts * n_arms
        plays, sums = np.bincount(cell, minlength=size), np.bincount(cell, reward, size)
        return cls(plays.reshape(n_contexts, n_arms).astype(np.float64), sums.reshape(n_contexts, n_arms))

    @property
    def mean(self) -> Float[np.ndarray, "*logs contexts arms"]:
        """Average reward of each arm; 0 where it was never played."""
        return self.rewards / np.maximum(self.plays, 1)

    @property
    def coverage(self) -> Float[np.ndarray, "*logs"]:
        """Fraction of the contexts that were seen."""
        return (self.plays.sum(-1) > 0).mean(-1)


@dataclass(frozen=True)
class OfflineLearner(ABC):
    """Ranks arms by a score of their counts. Ties go to the lowest arm."""

    def fit(self, counts: ArmCounts) -> Policy:
        """The arm of largest score in each context that was seen."""
        best = self.score(counts).argmax(-1)[..., None] == np.arange(counts.plays.shape[-1])
        seen = counts.plays.sum(-1, keepdims=True) > 0
        return np.where(seen, best, 1 / best.shape[-1])

    @abstractmethod
    def score(self, counts: ArmCounts) -> Float[np.ndarray, "*logs contexts arms"]:
        """What arms are ranked by."""


@dataclass(frozen=True)
class LCB(OfflineLearner):
    """The arm whose reward is surely largest: mean minus a width that shrinks with the number of plays."""

    penalty_scale: float = 0.387
    """The width is ``penalty_scale sqrt(log(2 contexts arms / failure_probability) / plays)``. Theory has sqrt(1/2),
    0.707, without context and sqrt(2000), 44.7, with. 0.387 is sqrt(0.15)."""
    failure_probability: float | None = None
    """None: one over the length of the log, the paper's."""

    def __post_init__(self) -> None:
        if self.penalty_scale < 0:
            raise UsageError(f"penalty_scale is {self.penalty_scale}; expected 0 or more")
        if self.failure_probability is not None and not 0 < self.failure_probability < 1:
            raise UsageError(f"failure_probability is {self.failure_probability}; expected one in (0, 1), or None")

    def score(self, counts: ArmCounts) -> Float[np.ndarray, "*logs contexts arms"]:
        """Lower bounds of the means; minus infinity for an arm never played, so that one that was is preferred."""
        plays = counts.plays
        rows = np.maximum(plays.sum((-2, -1), keepdims=True), 1)
        failure = 1 / rows if self.failure_probability is None else self.failure_probability
        log = np.log(2 * math.prod(plays.shape[-2:]) / failure)
        width = self.penalty_scale * np.sqrt(log / np.maximum(plays, 1))
        return np.where(plays > 0, counts.mean - width, -np.inf)


@dataclass(frozen=True)
class EmpiricalBest(OfflineLearner):
    """The arm of largest average reward, however seldom it was played."""

    def score(self, counts: ArmCounts) -> Float[np.ndarray, "*logs contexts arms"]:
        """The means."""
        return counts.mean


@dataclass(frozen=True)
class MostPlayed(OfflineLearner):
    """Imitation: the arm played most often; rewards are not looked at."""

    def score(self, counts: ArmCounts) -> Float[np.ndarray, "*logs contexts arms"]:
        """The numbers of plays."""
        return counts.plays
