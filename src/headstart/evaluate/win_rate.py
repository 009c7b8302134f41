"""How often one system's answers are preferred to another's, as they are and with length held equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from headstart.core.errors import DataError
from headstart.evaluate.statistics import Interval

PRIOR = 1.0
"""Weight of the prior on the effect of length, in answers: it keeps the fit finite where length explains everything."""


def win_rate(
    preferences: ArrayLike,
    groups: Sequence[int] | None = None,
    n: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean preference with its percentile bootstrap interval, prompts resampled.

    Args:
        preferences: ``[answer]`` how surely the first system's answer is preferred: 1, 0, a probability between, one
            half for a tie.
        groups: ``[answer]`` the prompt of each; answers to one prompt are averaged first and resampled together. By
            default every answer has its own.
        n: number of resamples.
        confidence: mass between the bounds.
        seed: of the resampling.

    Raises:
        DataError: no preferences, or some outside [0, 1].
    """
    values = _checked(preferences)
    prompts, weights = _prompts(groups, len(values))
    each = np.bincount(prompts, weights * values)
    return _interval(each.mean(), _counts(len(each), n, seed) @ each / len(each), confidence, len(each))


def length_controlled_win_rate(
    preferences: ArrayLike,
    lengths: ArrayLike,
    other_lengths: ArrayLike,
    groups: Sequence[int] | None = None,
    n: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The win rate there would be if both systems' answers were of one length, by a logistic regression.

    Preferences are explained by a constant and tanh(length difference / its standard deviation); the rate is the
    logistic of the constant alone (Dubois et al. 2024, arXiv:2404.04475, eq. 2, without the term for the difficulty of
    a prompt, which needs the answers of many systems). A system compared with itself gets one half.

    Args:
        preferences: ``[answer]``, as for ``win_rate``.
        lengths: ``[answer]`` of the first system's answers, in any unit.
        other_lengths: ``[answer]`` of the second's.
        groups: ``[answer]`` the prompt of each.
        n: number of resamples.
        confidence: mass between the bounds.
        seed: of the resampling.

    Raises:
        DataError: shapes differ, no preferences, or some outside [0, 1].
    """
    values = _checked(preferences)
    difference = np.asarray(lengths, np.float64) - np.asarray(other_lengths, np.float64)
    if difference.shape != values.shape:
        raise DataError(f"{len(values)} preferences and lengths of shape {list(difference.shape)}; expected one each")
    spread = difference.std()
    longer = np.tanh(difference / spread) if spread > 0 else np.zeros_like(difference)
    prompts, weights = _prompts(groups, len(values))
    whole = _constants(values, longer, weights[None])
    counts = _counts(int(prompts.max()) + 1, n, seed)
    resampled = _constants(values, longer, counts[:, prompts] * weights)
    return _interval(whole[0], resampled, confidence, counts.shape[1])


def _constants(
    preferences: Float[np.ndarray, " answer"],
    longer: Float[np.ndarray, " answer"],
    weights: Float[np.ndarray, "fit answer"],
) -> Float[np.ndarray, " fit"]:
    """The logistic of the constant of each weighted fit, by Newton's method."""
    constant, slope = np.zeros(len(weights)), np.zeros(len(weights))
    least = 1e-6 * weights.sum(1)  # a fit in which everybody wins stays finite
    for _ in range(50):
        fitted = 1 / (1 + np.exp(-np.clip(constant[:, None] + slope[:, None] * longer, -30, 30)))
        error, curvature = weights * (fitted - preferences), weights * fitted * (1 - fitted)
        first = np.stack([error.sum(1) + least * constant, error @ longer + PRIOR * slope])
        a, b, d = curvature.sum(1) + least, curvature @ longer, curvature @ longer**2 + PRIOR
        determinant = a * d - b * b
        step = np.stack([d * first[0] - b * first[1], a * first[1] - b * first[0]]) / determinant
        step = np.clip(step, -2, 2)
        constant, slope = constant - step[0], slope - step[1]
        if np.abs(step).max() < 1e-10:
            break
    return 1 / (1 + np.exp(-constant))


def _checked(preferences: ArrayLike) -> Float[np.ndarray, " answer"]:
    values = np.asarray(preferences, np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.all((values >= 0) & (values <= 1)):
        raise DataError(f"preferences of shape {list(values.shape)}: expected [answer], not empty, all from 0 to 1")
    return values


def _prompts(
    groups: Sequence[int] | None, count: int
) -> tuple[Int[np.ndarray, " answer"], Float[np.ndarray, " answer"]]:
    """The prompt of each answer, numbered from 0, and each answer's share of its prompt."""
    if groups is not None and len(groups) != count:
        raise DataError(f"{count} preferences and {len(groups)} groups; expected one each")
    _, prompts, counts = np.unique(
        np.arange(count) if groups is None else np.asarray(groups), return_inverse=True, return_counts=True
    )
    return prompts, 1.0 / counts[prompts]


def _counts(prompts: int, n: int, seed: int) -> Float[np.ndarray, "resample prompt"]:
    """How often each prompt is drawn in each resample."""
    return np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), size=n).astype(np.float64)


def _interval(estimate: float, resampled: Float[np.ndarray, " resample"], confidence: float, prompts: int) -> Interval:
    if prompts == 1:
        return Interval(float(estimate), float("nan"), float("nan"))
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(estimate), float(low), float(high))
