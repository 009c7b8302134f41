"""Groupwise regret against finitely many hypotheses: an expert for each pair of group and hypothesis.

The exact but expensive method (Blum and Lykouris 2020, arXiv 1909.08375) that ``Groupwise`` makes affordable: its cost
grows with groups times hypotheses, where ``Groupwise`` needs one online learner a group.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from headstart.bandits.sleeping_experts import AdaNormalHedge


def follow_pairs(
    losses: Float[np.ndarray, "rounds hypotheses"], active: Bool[np.ndarray, "rounds groups"]
) -> Float[np.ndarray, " rounds"]:
    """Expected loss of every round when a hypothesis is drawn by the weights of the pairs awake.

    Args:
        losses: of each hypothesis, within [0, 1].
        active: the groups each round belongs to; a pair is awake when its group is active.

    Raises:
        DataError: a loss is out of range, or a round belongs to no group.
    """
    combiner = AdaNormalHedge()
    hypotheses = losses.shape[1]
    state = combiner.init(active.shape[1] * hypotheses)
    expected = np.empty(len(losses))
    for number, (now, each) in enumerate(zip(active, losses, strict=True)):
        awake, pairs = np.repeat(now, hypotheses), np.tile(each, len(now))
        weights = combiner.weights(state, awake)
        expected[number] = weights @ pairs
        state = combiner.observe(state, awake, weights, pairs)
    return expected
