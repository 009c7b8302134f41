"""What exploring a ``RevealLock`` costs over a horizon: with reveals, which forfeit the pay, and with free sight.

Only the choice of the right (leaf, action) pair is at stake; the password is taken to be known. Regret is exact given
what was identified, so horizons of millions cost no more than the tests do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headstart.finite.collision_explore import coincidences
from headstart.finite.reveal_lock import RevealLock


def commit_regret(horizon: int, reveals: int, candidates: int, lock: RevealLock, identified: float) -> float:
    """Expected regret of revealing after each candidate and then keeping to the one that looks right.

    A reveal costs the whole value; a wrong commitment costs ``epsilon`` an episode.

    Args:
        horizon: episodes.
        reveals: of each candidate.
        candidates: how many.
        lock: the lock.
        identified: probability that the right one is found.
    """
    explored = min(reveals * candidates, horizon)
    return explored * lock.optimal_value + (horizon - explored) * lock.epsilon * (1 - identified)


@dataclass(frozen=True)
class FreeElimination:
    """Successive elimination where symbols are seen for free: a candidate is dropped when its coincidences fall behind.

    Each round doubles the episodes of every candidate left; an episode with a wrong candidate costs ``epsilon``, with
    the right one nothing. Where one is left, it is kept.
    """

    threshold: float = 3.0
    """Standard deviations (of a difference, under the uniform) that a candidate may be behind the best."""

    def regret(
        self, horizon: int, scores: Float[np.ndarray, "rounds replications candidates"], lock: RevealLock
    ) -> float:
        """Mean regret over replications.

        Args:
            horizon: episodes.
            scores: coincidences of each candidate after ``2, 4, 8, …`` episodes of it; the first is the right one.
            lock: the lock.
        """
        replications, candidates = scores.shape[1:]
        alive = np.ones((replications, candidates), bool)
        played, wrong = np.zeros(replications), np.zeros(replications)
        before = 0
        for number, score in enumerate(scores):
            draws = 2 ** (number + 1)
            left = alive.sum(1)
            share = np.clip((horizon - played) / np.maximum(left * (draws - before), 1), 0, 1)
            exploring = (left > 1) * share * (draws - before)
            played, wrong = played + exploring * left, wrong + exploring * (left - alive[:, 0])
            behind = np.where(alive, score, -np.inf).max(1, keepdims=True) - score
            spread = np.sqrt(2 * 2 / lock.symbols) / draws
            alive &= (behind <= self.threshold * spread) | (left == 1)[:, None]
            before = draws
        kept = alive[:, 0] / alive.sum(1)
        return float(lock.epsilon * np.mean(wrong + (horizon - played) * (1 - kept)))


def free_scores(
    rounds: int, candidates: int, lock: RevealLock, replications: int, generator: np.random.Generator
) -> Float[np.ndarray, "rounds replications candidates"]:
    """Coincidences of each candidate, the first the right one, after ``2, 4, …, 2^rounds`` episodes of it."""
    chances = np.stack([lock.revealed(candidate == 0) for candidate in range(candidates)])
    counts, scores = np.zeros((replications, candidates, lock.symbols), np.int64), []
    for number in range(rounds):
        counts = counts + generator.multinomial(2 if number == 0 else 2**number, chances, (replications, candidates))
        scores.append(coincidences(counts))
    return np.stack(scores)
