"""Rules of thumb for what to ask next, each a function of how often every question was answered +1 and -1."""

from __future__ import annotations

import numpy as np

from headstart.bandits.active_learning import Game, Rule
from headstart.core.errors import UsageError


def uniform(game: Game) -> Rule:
    """Any question."""
    return lambda counts: np.full(counts.shape[:2], 1 / game.questions)


def round_robin(game: Game) -> Rule:
    """A question asked least often."""
    return lambda counts: _least(counts.sum(-1))


def soft_bisection(game: Game, reliability: float = 0.7) -> Rule:
    """Generalised binary search for noisy answers (Nowak 2011): the question on which hypotheses are most divided.

    Hypotheses are weighed as if every answer were right with probability ``reliability``.

    Raises:
        UsageError: the reliability is not between 1/2 and 1.
    """
    if not 0.5 < reliability < 1:
        raise UsageError(f"reliability must be above 1/2 and below 1; given {reliability}")
    strength = np.log(reliability / (1 - reliability)) / 2

    def rule(counts):
        evidence = strength * ((counts[..., 0].astype(float) - counts[..., 1]) @ game.hypotheses.T)
        weights = np.exp(evidence - evidence.max(-1, keepdims=True))
        expected = weights @ game.hypotheses / weights.sum(-1, keepdims=True)
        return _least(np.round(np.abs(expected), 9))

    return rule


def _least(values: np.ndarray) -> np.ndarray:
    """Even probabilities over the least entries of each row."""
    least = values == values.min(-1, keepdims=True)
    return least / least.sum(-1, keepdims=True)
