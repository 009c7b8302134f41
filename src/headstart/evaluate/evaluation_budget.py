"""What offline tuning is worth when policies can be tried online only so often (Jackson et al. 2025, "A clean slate
for offline reinforcement learning", arXiv 2504.11453, section 4).

Offline training gives many policies, one for each setting that was tried; which is best, only acting tells. An upper
confidence bound bandit spends a budget of evaluation episodes on them and recommends one. How good the recommended one
is, against the episodes spent, compares methods without letting them look at the answer for free.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, UsageError
from headstart.evaluate.statistics import mean, stratified_bootstrap


class BudgetCurve(NamedTuple):
    """How good the recommended policy is after each evaluation episode."""

    episodes: Int[np.ndarray, " budget"]
    """Evaluation episodes spent, from 1."""
    score: Float[np.ndarray, " budget"]
    """Mean true score of the recommended policy over all trials."""
    low: Float[np.ndarray, " budget"]
    """Lower end of its 95 % bootstrap interval."""
    high: Float[np.ndarray, " budget"]
    """Upper end of it."""


def score_by_budget(
    returns: ArrayLike,
    budget: int = 200,
    policies: int = 20,
    trials: int = 1000,
    exploration: float = 2.0,
    seed: int = 0,
) -> BudgetCurve:
    """Play a bandit over random subsets of policies, its rewards drawn from recorded evaluation episodes.

    Args:
        returns: of each policy's evaluation episodes, ``[policies, episodes]``; a policy's true score is their mean.
        budget: evaluation episodes that may be spent.
        policies: how many are drawn, without replacement, for each trial; all, where there are fewer.
        trials: repetitions.
        exploration: factor ``c`` of the index ``mean + sqrt(c log(t) / n)``, for returns rescaled to [0, 1]; every
            policy is tried once first.
        seed: of everything random.

    Raises:
        UsageError: a count is below 1, or the exploration is negative.
        DataError: returns are not a finite matrix.
    """
    returns = np.asarray(returns, np.float64)
    if returns.ndim != 2 or not returns.size or not np.isfinite(returns).all():
        raise DataError(f"returns have the shape {list(returns.shape)}; expected [policies, episodes], all finite")
    if min(budget, policies, trials) < 1 or exploration < 0:
        raise UsageError(
            f"budget {budget}, policies {policies} and trials {trials} need to be at least 1, "
            f"exploration {exploration} at least 0"
        )
    random, every = np.random.default_rng(seed), np.arange(trials)
    arms = min(policies, len(returns))
    chosen = np.argsort(random.random((trials, len(returns))), axis=1)[:, :arms]
    low, high = returns.min(), returns.max()
    rewards = (returns - low) / (high - low) if high > low else np.zeros_like(returns)
    true = returns.mean(1)
    counts, sums = np.zeros((trials, arms)), np.zeros((trials, arms))
    scores = np.empty((trials, budget))
    for spent in range(budget):
        with np.errstate(divide="ignore", invalid="ignore"):
            index = sums / counts + np.sqrt(exploration * np.log(spent + 1) / counts)
        index = np.where(counts > 0, index, np.inf)
        # Ties are broken at random: the largest of noise among the best.
        arm = np.argmax(np.where(index == index.max(1, keepdims=True), random.random(index.shape), -1), axis=1)
        sums[every, arm] += rewards[chosen[every, arm], random.integers(0, returns.shape[1], trials)]
        counts[every, arm] += 1
        means = np.divide(sums, counts, out=np.full_like(sums, -1.0), where=counts > 0)
        scores[:, spent] = true[chosen[every, means.argmax(1)]]
    band = stratified_bootstrap(scores[:, None], mean, n=200, seed=seed)
    return BudgetCurve(np.arange(1, budget + 1), band.estimate, band.low, band.high)
