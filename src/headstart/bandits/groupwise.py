"""One predictor whose regret is small on the whole stream and on every subgroup of it (arXiv 2310.04652).

Groups may overlap. Each has a copy of an ordinary online learner, which sees the group's rounds alone; a combiner of
sleeping experts weighs the copies of the groups that a round belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Bool, Float

from headstart.bandits.online_ridge import OnlineRidge
from headstart.bandits.sleeping_experts import AdaNormalHedge, Regrets
from headstart.core.errors import DataError, UsageError


class OnlineLearner(Protocol):
    """What is copied for every group. Copies act side by side; each method speaks for all of them."""

    def init(self, copies: int, features: int) -> Any:
        """The state before anything is seen."""
        ...

    def predict(self, state: Any, x: Any) -> np.ndarray:
        """What each copy predicts, or decides, on its own; the first axis is the copies'."""
        ...

    def losses(self, predictions: np.ndarray, outcome: Any, /) -> Float[np.ndarray, " copies"]:
        """Loss in [0, 1] of each prediction, once the outcome is known."""
        ...

    def observe(self, state: Any, x: Any, outcome: Any, awake: Bool[np.ndarray, " copies"], /) -> Any:
        """The state after the outcome; only the copies that are awake learn."""
        ...


class GroupwiseState(NamedTuple):
    """The copies' state, and the combiner's."""

    copies: Any
    regrets: Regrets


class Prediction(NamedTuple):
    """What is predicted, and what it is made from.

    Attributes:
        value: the prediction.
        by_group: each group's own copy's.
        weights: how much each group counts.
    """

    value: Any
    by_group: np.ndarray
    weights: Float[np.ndarray, " groups"]


@dataclass(frozen=True)
class Groupwise:
    """A copy of ``base`` for every group, combined.

    On every group, the expected loss exceeds that of the group's own copy by at most
    ``O(sqrt(rounds of the group * log groups))``, and so the regret exceeds the base learner's by no more (theorem 2).
    """

    base: OnlineLearner = field(default_factory=OnlineRidge)
    """What each group has a copy of."""
    combiner: AdaNormalHedge = field(default_factory=AdaNormalHedge)
    """Weighs the copies."""
    sample: bool = False
    """Predict as one copy drawn by its weight (algorithm 1), as decisions that cannot be averaged need. Otherwise the
    weighted mean, which for convex losses is never worse."""

    def init(self, groups: int, features: int) -> GroupwiseState:
        """Nothing seen."""
        return GroupwiseState(self.base.init(groups, features), self.combiner.init(groups))

    def predict(
        self,
        state: GroupwiseState,
        x: Any,
        active: Bool[np.ndarray, " groups"],
        generator: np.random.Generator | None = None,
    ) -> Prediction:
        """Predict one round.

        Args:
            state: so far.
            x: what the base learner predicts from.
            active: which groups the round belongs to; at least one.
            generator: draws the copy, where ``sample`` is set.

        Raises:
            DataError: no group is active; a group of all rounds avoids it.
            UsageError: ``sample`` is set and there is no generator.
        """
        weights = self.combiner.weights(state.regrets, active)
        by_group = self.base.predict(state.copies, x)
        if not self.sample:
            return Prediction(np.tensordot(weights, by_group, (0, 0)), by_group, weights)
        if generator is None:
            raise UsageError("drawing a group's prediction needs a generator; give one, or sample=False")
        return Prediction(by_group[generator.choice(len(weights), p=weights)], by_group, weights)

    def observe(
        self, state: GroupwiseState, x: Any, active: Bool[np.ndarray, " groups"], prediction: Prediction, outcome: Any
    ) -> GroupwiseState:
        """Learn from the round's outcome: the combiner, and the copies of the groups that are active."""
        losses = self.base.losses(prediction.by_group, outcome)
        regrets = self.combiner.observe(state.regrets, active, prediction.weights, losses)
        return GroupwiseState(self.base.observe(state.copies, x, outcome, active), regrets)


class Losses(NamedTuple):
    """Losses of every round of a stream.

    Attributes:
        ours: of the combined prediction.
        by_group: of each group's own copy; not-a-number where the group is not active.
    """

    ours: Float[np.ndarray, " rounds"]
    by_group: Float[np.ndarray, "rounds groups"]


def follow(
    learner: Groupwise,
    xs: Sequence[Any] | np.ndarray,
    active: Bool[np.ndarray, "rounds groups"],
    outcomes: Sequence[Any] | np.ndarray,
    seed: int = 0,
) -> Losses:
    """Predict and learn from a whole stream.

    Args:
        learner: predicts.
        xs: what to predict from, a round each; for regression ``[rounds, features]``.
        active: which groups each round belongs to.
        outcomes: a round each; for regression labels in [0, 1].
        seed: of the draws, where the learner samples.

    Raises:
        DataError: lengths differ, a round has no active group, or numbers are out of range.
    """
    rounds, groups = active.shape
    if len(xs) != rounds or len(outcomes) != rounds:
        raise DataError(
            f"a stream has one x, row of groups and outcome a round; given {len(xs)}, {rounds}, {len(outcomes)}"
        )
    if not active.any(1).all():
        raise DataError(
            f"round {int(np.argmin(active.any(1)))} belongs to no group; add one to which all rounds belong"
        )
    generator = np.random.default_rng(seed)
    state = learner.init(groups, len(np.atleast_1d(xs[0])))
    ours, by_group = np.empty(rounds), np.full((rounds, groups), np.nan)
    for number, (x, now, outcome) in enumerate(zip(xs, active, outcomes, strict=True)):
        prediction = learner.predict(state, x, now, generator)
        state = learner.observe(state, x, now, prediction, outcome)
        ours[number] = learner.base.losses(prediction.value[None], outcome)[0]
        by_group[number, now] = learner.base.losses(prediction.by_group[now], outcome)
    return Losses(ours, by_group)


def group_regret(
    losses: Float[np.ndarray, " rounds"],
    features: Float[np.ndarray, "rounds features"],
    labels: Float[np.ndarray, " rounds"],
    active: Bool[np.ndarray, "rounds groups"],
) -> Float[np.ndarray, " groups"]:
    """Sum of squared losses on each group's rounds, less that of the linear predictor fitted to them in hindsight.

    It can be negative: a combination of linear predictors can do more than one of them. 0 for groups without rounds.
    """
    regret = np.zeros(active.shape[1])
    for group, rounds in enumerate(active.T):
        x, y = features[rounds], labels[rounds]
        fit = np.linalg.solve(x.T @ x + 1e-8 * np.eye(features.shape[1]), x.T @ y)
        regret[group] = losses[rounds].sum() - ((x @ fit - y) ** 2).sum()
    return regret
