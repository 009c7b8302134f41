"""When to ask an annotator about a pair of trajectories."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class QueryRule(abc.ABC):
    """Decides about one pair at a time. Pairs that no reward can tell apart are never put before it."""

    @abc.abstractmethod
    def asks(self, disagreement: float, played: int, asked: int, generator: np.random.Generator) -> bool:
        """Whether to ask.

        Args:
            disagreement: of two draws of rewards about the pair, in units of return.
            played: rounds before this one.
            asked: questions before this one.
            generator: for rules that toss coins.
        """


@dataclass(frozen=True)
class AskWhenUnsure(QueryRule):
    """Ask where two plausible rewards disagree (Wu and Sun 2024, arXiv 2310.14554, equation 2)."""

    threshold: float = 0.3
    """Ask above it: the paper's epsilon. Larger asks less and regrets more."""

    def asks(self, disagreement: float, played: int, asked: int, generator: np.random.Generator) -> bool:
        """Whether the disagreement is above the threshold."""
        return disagreement > self.threshold


@dataclass(frozen=True)
class AskAlways(QueryRule):
    """Ask about every pair."""

    def asks(self, disagreement: float, played: int, asked: int, generator: np.random.Generator) -> bool:
        """Yes."""
        return True


@dataclass(frozen=True)
class AskAtRandom(QueryRule):
    """Spend a number of questions at random times, early ones more likely: the baseline for rules that look."""

    budget: int
    rounds: int
    """In which to spend them."""

    def asks(self, disagreement: float, played: int, asked: int, generator: np.random.Generator) -> bool:
        """With twice the probability that would spread the remaining questions evenly, until none remain."""
        remaining = max(self.rounds - played, 1)
        return generator.random() < 2 * (self.budget - asked) / remaining
