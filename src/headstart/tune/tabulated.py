"""Searches replayed on a table of scores that were all measured beforehand: thousands of repetitions for nothing.

A table is ``[configurations, seeds, rungs]``: the score of each configuration, trained with each seed, at each rung of
training, the last being the whole of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Table = Float[np.ndarray, "configurations seeds rungs"]


class Replayed(NamedTuple):
    """Outcomes of repeated searches, ``[repetitions]`` each.

    Attributes:
        chosen: which configuration was chosen.
        tuning: its mean score on the seeds it was chosen by.
        test: its mean score on all other seeds.
    """

    chosen: Int[np.ndarray, " repetitions"]
    tuning: Float[np.ndarray, " repetitions"]
    test: Float[np.ndarray, " repetitions"]


def replay(
    table: Table,
    counts: Sequence[int],
    tuning_seeds: int,
    repetitions: int,
    generator: np.random.Generator,
    weights: Float[np.ndarray, " seeds"] | None = None,
) -> Replayed:
    """Search by successive halving, or at random where there is a single rung in ``counts``.

    Args:
        table: the scores.
        counts: how many configurations are trained up to each of the last ``len(counts)`` rungs; those that go on from
            one rung to the next are the best there, by their mean over the tuning seeds.
        tuning_seeds: how many seeds are tuned with, drawn anew in every repetition. The others are for the test.
        repetitions: of the whole.
        generator: draws seeds and configurations.
        weights: how often each seed counts in the test (its number in a bootstrap sample); seeds of weight 0 are left
            out, so that no seed is ever on both sides.
    """
    configurations, seeds, rungs = table.shape
    weights = np.ones(seeds) if weights is None else weights
    # Distinct seeds, drawn in proportion to their weights, are the largest of log-weights plus Gumbel noise.
    with np.errstate(divide="ignore"):
        order = np.argsort(-(np.log(weights) + generator.gumbel(size=(repetitions, seeds))), axis=1)
    tuned, tested = order[:, :tuning_seeds], order[:, tuning_seeds:]
    alive = np.argsort(generator.random((repetitions, configurations)), axis=1)[:, : counts[0]]
    for place, count in enumerate(counts):
        rung = rungs - len(counts) + place
        scores = table[alive[:, :, None], tuned[:, None, :], rung].mean(-1)
        best = np.argsort(-scores, axis=1, kind="stable")
        kept = best[:, : counts[place + 1] if place + 1 < len(counts) else 1]
        alive, last = np.take_along_axis(alive, kept, 1), np.take_along_axis(scores, kept, 1)
        assert count >= kept.shape[1]
    chosen = alive[:, 0]
    share = np.take_along_axis(np.broadcast_to(weights, order.shape), tested, 1)
    test = (table[chosen[:, None], tested, -1] * share).sum(1) / share.sum(1)
    return Replayed(chosen, last[:, 0], test)


def cost(counts: Sequence[int], fractions: Sequence[float]) -> float:
    """What successive halving costs, in whole trainings, when those that go on are not trained from scratch.

    Args:
        counts: as for ``replay``.
        fractions: of a whole training, at each rung.
    """
    before = [0.0, *fractions[:-1]]
    return float(sum(count * (end - begin) for count, begin, end in zip(counts, before, fractions, strict=True)))
