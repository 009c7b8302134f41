"""Worlds that can be named on the command line; all that is random in one comes from its seed."""

from __future__ import annotations

import numpy as np

from headstart.bandits.worlds import AdvisedBandit, BernoulliBandit, GaussianBandit, LinearBandit
from headstart.core.errors import UsageError


def bernoulli_gap(arms: int = 5, gap: float = 0.5) -> BernoulliBandit:
    """One arm at 0.5 + gap / 2, all others at 0.5 - gap / 2."""
    return BernoulliBandit.gap(arms, gap)


def bernoulli(arms: int = 10, seed: int = 0) -> BernoulliBandit:
    """Probabilities drawn evenly from [0, 1]."""
    return BernoulliBandit.of(np.random.default_rng(seed).uniform(size=arms))


def gaussian(arms: int = 5, deviation: float = 0.3, seed: int = 0) -> GaussianBandit:
    """Means drawn evenly from [0, 1]."""
    return GaussianBandit.of(np.random.default_rng(seed).uniform(size=arms), deviation)


def linear(arms: int = 50, features: int = 8, deviation: float = 0.1, seed: int = 0) -> LinearBandit:
    """Parameter and fixed features drawn from the unit sphere."""
    rows = _sphere(np.random.default_rng(seed), arms + 1, features)
    return LinearBandit.of(rows[0], rows[1:], deviation)


def linear_fresh(arms: int = 10, features: int = 8, deviation: float = 0.1, seed: int = 0) -> LinearBandit:
    """Parameter drawn from the unit sphere; features likewise, anew at every step."""
    return LinearBandit.fresh(_sphere(np.random.default_rng(seed), 1, features)[0], arms, deviation)


def advised(situations: int = 8, arms: int = 5, experts: int = 10, seed: int = 0) -> AdvisedBandit:
    """Random probabilities of a reward; every expert names one arm in each situation, the first the best one."""
    if min(situations, arms, experts) < 1:
        raise UsageError(f"situations, arms and experts must be 1 or more; given {situations}, {arms}, {experts}")
    generator = np.random.default_rng(seed)
    probability = generator.uniform(size=(situations, arms))
    named = generator.integers(0, arms, (situations, experts))
    named[:, 0] = probability.argmax(1)
    return AdvisedBandit.of(probability, np.eye(arms)[named].transpose(0, 2, 1))


def _sphere(generator: np.random.Generator, rows: int, size: int) -> np.ndarray:
    drawn = generator.standard_normal((rows, size))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
