"""Logged bandits with finitely many contexts whose logs hold an expert's choices to a chosen degree.

How much is one number, the single-policy concentrability: the largest ratio, over contexts, of how often an expert
would meet and play the best arm to how often the log does. At 1 the log is the expert's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headstart.bandits.lcb import ArmCounts, Policy
from headstart.core.errors import UsageError


@dataclass(frozen=True)
class LoggedBandit:
    """Bernoulli arms in finitely many contexts, and where its log comes from.

    Attributes:
        contexts: probability of each context.
        means: mean rewards.
        log: joint probability of a context and an arm in a row of the log.
    """

    contexts: Float[np.ndarray, " contexts"]
    means: Float[np.ndarray, "contexts arms"]
    log: Float[np.ndarray, "contexts arms"]

    @property
    def concentrability(self) -> float:
        """Largest ratio of the expert's probability of a context and its best arm to the log's."""
        best = self.log[np.arange(len(self.means)), self.means.argmax(-1)]
        return float((self.contexts / best).max())

    def draw(self, rows: int, logs: int, generator: np.random.Generator) -> ArmCounts:
        """Independent logs of ``rows`` rows each."""
        plays = generator.multinomial(rows, self.log.ravel(), size=logs).reshape(logs, *self.means.shape)
        return ArmCounts(plays.astype(np.float64), generator.binomial(plays, self.means).astype(np.float64))

    def suboptimality(self, policy: Policy) -> Float[np.ndarray, "*logs"]:
        """Expected loss against the best arms, exactly."""
        return ((self.means.max(-1) - (policy * self.means).sum(-1)) * self.contexts).sum(-1)


def spread(contexts: int, gap: float, concentrability: float) -> LoggedBandit:
    """Three arms, all contexts alike; what is not the expert's is spread over the other two arms everywhere."""
    return _three_arms(np.full(contexts, 1 / contexts), gap, concentrability)


def rare(contexts: int, gap: float, concentrability: float, rows: int) -> LoggedBandit:
    """As ``spread``, but all contexts except the last have probability ``1 / (rows + 1)``: a log may miss them."""
    probability = np.full(contexts, 1 / (rows + 1))
    probability[-1] = 1 - probability[:-1].sum()
    if probability[-1] <= 0:
        raise UsageError(f"{contexts} contexts of probability 1/{rows + 1} are too many; give more rows")
    return _three_arms(probability, gap, concentrability)


def concentrated(contexts: int, gap: float, concentrability: float) -> LoggedBandit:
    """Two arms; what is not the expert's is piled, 1.1 times the expert's share, on as few contexts as possible.

    What is left once all contexts are full is spread over them.
    """
    share = 1 / contexts / concentrability
    left = 1 - 1 / concentrability
    piles = np.minimum(1.1 * share, np.maximum(left - 1.1 * share * np.arange(contexts), 0))
    piles += (left - piles.sum()) / contexts
    log = np.stack([piles, np.full(contexts, share)], axis=-1)
    return LoggedBandit(np.full(contexts, 1 / contexts), _means(contexts, 2, gap), log)


def _three_arms(probability: Float[np.ndarray, " contexts"], gap: float, concentrability: float) -> LoggedBandit:
    shares = np.array([*[(1 - 1 / concentrability) / 2] * 2, 1 / concentrability])
    return LoggedBandit(probability, _means(len(probability), 3, gap), probability[:, None] * shares)


def _means(contexts: int, arms: int, gap: float) -> Float[np.ndarray, "contexts arms"]:
    """The last arm is best, by ``gap``: ties, which go to the lowest arm, do no good."""
    return np.tile(0.5 + 0.5 * gap * np.array([-1.0] * (arms - 1) + [1.0]), (contexts, 1))
