"""Opening a ``RevealLock`` by counting coincidences: reveal often after each candidate, keep the least uniform.

Whether draws come from the uniform distribution on ``n`` symbols or from an unknown one nearby shows in how many pairs
of them agree; that takes about ``sqrt(n)`` draws where learning the distribution would take ``n``. NumPy: draws of one
test come at once, and each test waits for the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from headstart.core.errors import UsageError
from headstart.finite.pomdp import Histories, open_loop, play
from headstart.finite.reveal_lock import RevealLock


@dataclass(frozen=True)
class Opened:
    """What exploring a lock came to believe."""

    leaf: int
    action: int
    password: tuple[int, ...]
    episodes: int
    """Episodes that it took."""

    def opens(self, lock: RevealLock) -> bool:
        """Whether all of it is right."""
        return (self.leaf, self.action, self.password) == (lock.leaf, lock.action, lock.password)


@dataclass(frozen=True)
class CollisionExplore:
    """Explore, then commit: first the pair, then the password symbol by symbol, each by a test on every candidate.

    A test is ``episodes`` reveals right after the candidate, of which the one with most coincidences wins; the last
    symbol of the password, after which nothing can be revealed, is tested by the mean pay.
    """

    episodes: int = 100
    """For each candidate. About ``4 sqrt(2 n) / (2 epsilon sigma)^2`` finds the right one of four with 90 %."""

    def __post_init__(self) -> None:
        if self.episodes < 2:
            raise UsageError(f"episodes is {self.episodes}; coincidences need at least 2")

    def run(self, lock: RevealLock, generator: np.random.Generator) -> Opened:
        """Explore a lock through its world only; its sizes are known, its secrets are not.

        Raises:
            UsageError: nothing can be revealed in this lock.
        """
        if lock.access != "reveal" or not lock.password:
            raise UsageError("this learner reveals; the lock needs access 'reveal' and a password")
        pairs = [(leaf, action) for leaf in range(lock.leaves) for action in range(lock.actions)]
        found = max_by(pairs, [self._coincidences(lock, pair, generator) for pair in pairs], generator)
        length = len(lock.password)
        for position in range(length):
            test = self._coincidences if position < length - 1 else self._pay
            candidates = [(*found, symbol) for symbol in range(lock.actions)]
            found = max_by(candidates, [test(lock, each, generator) for each in candidates], generator)
        tests = len(pairs) + length * lock.actions
        return Opened(found[0], found[1], found[2:], tests * self.episodes)

    def _coincidences(self, lock: RevealLock, prefix: tuple[int, ...], generator: np.random.Generator) -> float:
        played = self._play(lock, (*prefix, lock.reveal), generator)
        symbols = played.observations[:, len(prefix) + 1] - lock.first_symbol
        return float(coincidences(np.bincount(symbols, minlength=lock.symbols)))

    def _pay(self, lock: RevealLock, prefix: tuple[int, ...], generator: np.random.Generator) -> float:
        return float(self._play(lock, prefix, generator).rewards.sum(1).mean())

    def _play(self, lock: RevealLock, prefix: tuple[int, ...], generator: np.random.Generator) -> Histories:
        actions = [*prefix, *[0] * (lock.world.horizon - len(prefix))]
        return play(lock.world, open_loop(actions), self.episodes, generator)


def coincidences(counts: Int[np.ndarray, "*tests symbols"]) -> Float[np.ndarray, " *tests"]:
    """Fraction of the pairs of draws that agree: unbiased for ``sum p^2``, which the uniform makes least."""
    draws = counts.sum(-1)
    return (counts * (counts - 1)).sum(-1) / (draws * (draws - 1))


def max_by(candidates: Sequence[Any], scores: ArrayLike, generator: np.random.Generator) -> Any:
    """The candidate of largest score; ties are drawn evenly."""
    scores = np.asarray(scores)
    return candidates[int(generator.choice(np.flatnonzero(scores == scores.max())))]


def identification_rate(
    draws: int, candidates: int, lock: RevealLock, replications: int, generator: np.random.Generator
) -> float:
    """How often coincidences tell the right one of some candidates, by exact multinomial draws of what is revealed.

    Args:
        draws: reveals of each candidate, at least 2.
        candidates: how many, one of them right.
        lock: what is revealed.
        replications: independent trials.
        generator: source of randomness.
    """
    right = coincidences(generator.multinomial(draws, lock.revealed(True), replications))
    wrong = coincidences(generator.multinomial(draws, lock.revealed(False), (replications, candidates - 1)))
    ties = (wrong == right[:, None]).sum(1)
    return float(np.mean((right >= wrong.max(1)) / (1 + ties)))


def reveals_needed(
    candidates: int, lock: RevealLock, level: float, replications: int, generator: np.random.Generator
) -> int:
    """The least reveals of each candidate for which the right one is told at the given rate, within about 3 %.

    Args:
        candidates: how many, one of them right.
        lock: what is revealed.
        level: rate of right answers, above chance and below 1.
        replications: trials for each number of reveals that is tried.
        generator: source of randomness.

    Raises:
        UsageError: the level is at most chance or not below 1, or the lock reveals nothing.
    """
    if not 1 / candidates < level < 1 or lock.sigma * lock.epsilon == 0:
        raise UsageError(
            f"level is {level}, sigma {lock.sigma} and epsilon {lock.epsilon}; expected a level above chance "
            f"({1 / candidates:.3g}) and below 1, and a lock that reveals something"
        )

    def enough(draws: int) -> bool:
        return identification_rate(draws, candidates, lock, replications, generator) >= level

    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
    while high - low > max(1, 0.03 * high):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
