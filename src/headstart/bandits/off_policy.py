"""What a policy would have earned, estimated from what another one logged.

A policy is its probabilities of the arms in every row, ``[rows, arms]``.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.stats import norm

from headstart.bandits.log import Log
from headstart.core.errors import DataError, UsageError


class Estimate(NamedTuple):
    """Mean reward of a policy.

    Attributes:
        value: the estimate.
        low: lower end of the confidence interval.
        high: upper end.
        effective_rows: how many rows sampled from the policy itself would weigh as much: (sum of weights)^2 / sum of
            squares. The interval means little where it is small.
    """

    value: float
    low: float
    high: float
    effective_rows: float


def inverse_propensity(
    log: Log, policy: ArrayLike, confidence: float = 0.95, resamples: int = 0, seed: int = 0
) -> Estimate:
    """Mean of rewards weighted by policy / propensity (Horvitz and Thompson, 1952). Unbiased; noisy where weights are
    large.

    Args:
        log: what was logged.
        policy: ``[rows, arms]`` probabilities.
        confidence: mass of the interval, strictly between 0 and 1.
        resamples: 0 gives an interval from the normal approximation; more a percentile bootstrap of so many.
        seed: of the bootstrap.

    Raises:
        DataError: the policy has another shape, or rows that are not distributions.
        UsageError: a confidence outside (0, 1).
    """
    weights = importance_weights(log, policy)
    return _mean(weights * log.rewards, np.ones(len(log)), weights, confidence, resamples, seed)


def self_normalised(
    log: Log, policy: ArrayLike, confidence: float = 0.95, resamples: int = 0, seed: int = 0
) -> Estimate:
    """The same sum divided by the sum of weights (Swaminathan and Joachims, 2015). Within the range of rewards, nearly
    unbiased, and steadier. Args and errors as for ``inverse_propensity``."""
    weights = importance_weights(log, policy)
    if not weights.sum():
        raise DataError("the policy never chooses what was logged; its value cannot be estimated from this log")
    return _mean(weights * log.rewards, weights, weights, confidence, resamples, seed)


def doubly_robust(
    log: Log,
    policy: ArrayLike,
    predictions: ArrayLike,
    confidence: float = 0.95,
    resamples: int = 0,
    seed: int = 0,
) -> Estimate:
    """A model's prediction, corrected by the weighted error it makes on what was logged (Dudík et al., 2011). Unbiased
    whatever the model, and less noisy the better it is.

    Args:
        predictions: ``[rows, arms]`` expected rewards, such as ``predicted_rewards`` gives; from a model that has not
            seen the row it predicts.

    Other args and errors as for ``inverse_propensity``.
    """
    weights, predicted = importance_weights(log, policy), _shaped(log, "predictions", predictions)
    model = np.sum(np.asarray(policy, np.float64) * predicted, axis=1)
    residual = log.rewards - predicted[np.arange(len(log)), log.actions]
    return _mean(model + weights * residual, np.ones(len(log)), weights, confidence, resamples, seed)


def importance_weights(log: Log, policy: ArrayLike) -> Float[np.ndarray, " rows"]:
    """Policy / propensity of each row's action; errors as for ``inverse_propensity``."""
    probabilities = _shaped(log, "the policy", policy)
    sums = probabilities.sum(1)
    wrong = np.flatnonzero((np.abs(sums - 1) > 1e-3) | (probabilities < 0).any(1))
    if len(wrong):
        raise DataError(
            f"the policy's probabilities in {len(wrong)} of {len(sums)} rows are no distribution; the first is row "
            f"{wrong[0]}, which sums to {sums[wrong[0]]:.6g}, its least {probabilities[wrong[0]].min():.3g}; give the "
            "probability of each arm, at least 0 and summing to 1 in every row"
        )
    return probabilities[np.arange(len(log)), log.actions] / log.propensities


def predicted_rewards(log: Log, ridge: float = 1.0, folds: int = 2, seed: int = 0) -> Float[np.ndarray, "rows arms"]:
    """Expected rewards by ridge regression, each row predicted by a model fitted to other folds.

    Where arms have features of their own, one model serves all; where all arms see the same, each has a model. A
    constant is added to the features.

    Args:
        log: what to fit.
        ridge: weight of the squared norm of the coefficients, the constant's left out.
        folds: how many parts; 2 or more.
        seed: of the division.

    Raises:
        UsageError: fewer than 2 folds, or more than rows, or a ridge that is not a number of at least 0.
    """
    if not 2 <= folds <= len(log):
        raise UsageError(f"folds must lie within 2 and the number of rows, {len(log)}; given {folds}")
    if not 0 <= ridge < np.inf:
        raise UsageError(f"ridge must be a number of at least 0; given {ridge}")
    part = np.random.default_rng(seed).permutation(len(log)) % folds
    own = log.contexts.shape[1] > 1 and log.spec.features is not None
    predictions = np.empty((len(log), log.spec.arms))
    for fold in range(folds):
        fitted, held = log.select(part != fold), part == fold
        contexts = np.broadcast_to(log.contexts[held], (held.sum(), log.spec.arms, log.contexts.shape[2]))
        groups = [np.arange(log.spec.arms)] if own else [np.array([arm]) for arm in range(log.spec.arms)]
        fallback = fitted.rewards.mean()
        for arms in groups:
            used = np.isin(fitted.actions, arms)
            constant, slope = _ridge(fitted.seen[used], fitted.rewards[used], ridge, fallback)
            predictions[np.ix_(held, arms)] = constant + contexts[:, arms] @ slope
    return predictions


def _ridge(
    features: Float[np.ndarray, "rows features"], rewards: Float[np.ndarray, " rows"], ridge: float, fallback: float
) -> tuple[float, Float[np.ndarray, " features"]]:
    size = features.shape[1]
    if not len(rewards):
        return fallback, np.zeros(size)
    centre, mean = features.mean(0, dtype=np.float64), rewards.mean()
    centred = features - centre
    rank = np.linalg.matrix_rank(centred) if size else 0
    if ridge == 0 and rank < size:
        warnings.warn(
            f"the design is rank-deficient (rank {rank} of {size} features in {len(rewards)} rows): coefficients in "
            "unseen directions are set to zero; give a positive ridge, or leave out features that others determine",
            stacklevel=3,
        )
    slope = np.linalg.lstsq(centred.T @ centred + ridge * np.eye(size), centred.T @ (rewards - mean), rcond=None)[0]
    return float(mean - centre @ slope), slope


def _shaped(log: Log, name: str, values: ArrayLike) -> Float[np.ndarray, "rows arms"]:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name} must be numbers, one row for each of the log's with one for each arm: {error}"
        ) from error
    if array.shape != (len(log), log.spec.arms):
        raise DataError(
            f"{name} must be of shape [{len(log)}, {log.spec.arms}] (the log's rows, arms); given {list(array.shape)}"
        )
    wrong = np.flatnonzero(~np.isfinite(array).all(1))
    if len(wrong):
        raise DataError(
            f"{name} must be finite; {len(wrong)} rows are not, the first is row {wrong[0]}: {array[wrong[0]]}"
        )
    return array


def _mean(
    terms: Float[np.ndarray, " rows"],
    divisors: Float[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"],
    confidence: float,
    resamples: int,
    seed: int,
) -> Estimate:
    """Sum of terms over sum of divisors, with an interval by the delta method or the bootstrap."""
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must lie strictly between 0 and 1; given {confidence:g}")
    if resamples < 0:
        raise UsageError(f"resamples must be 0, for the normal approximation, or more; given {resamples}")
    value, rows = terms.sum() / divisors.sum(), len(terms)
    if resamples:
        generator = np.random.default_rng(seed)
        drawn = (generator.integers(0, rows, rows) for _ in range(resamples))
        values = [terms[chosen].sum() / max(divisors[chosen].sum(), np.finfo(float).tiny) for chosen in drawn]
        low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    else:
        spread = np.sqrt(np.sum((terms - value * divisors) ** 2) / max(rows - 1, 1) * rows) / divisors.sum()
        half = norm.ppf((1 + confidence) / 2) * spread if rows > 1 else np.inf
        low, high = value - half, value + half
    squares = np.sum(weights**2)
    effective = weights.sum() ** 2 / squares if squares else 0.0
    return Estimate(float(value), float(low), float(high), float(effective))


def logged_value(log: Log, confidence: float = 0.95, resamples: int = 0, seed: int = 0) -> Estimate:
    """Mean reward of the policy that logged, for comparison. Args and errors as for ``inverse_propensity``."""
    ones = np.ones(len(log))
    return _mean(log.rewards, ones, ones, confidence, resamples, seed)
