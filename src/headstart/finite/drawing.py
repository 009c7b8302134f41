"""Counts of many transitions or episodes, drawn at once from a known world.

How often each thing happened is multinomial given how often what came before did, so the cost does not grow with the
number of episodes. NumPy: a few draws a step.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from headstart.finite.episodes import Counts
from headstart.finite.mdp import DiscountedMDP, FiniteMDP


def draw_pairs(
    world: DiscountedMDP, distribution: Float[np.ndarray, "states actions"], rows: int, generator: np.random.Generator
) -> Counts:
    """Counts of ``rows`` independent transitions whose state and action have the given distribution.

    Rewards are their means.
    """
    distribution, transition = _rows(distribution.ravel()), _rows(world.transition)
    visits = generator.multinomial(rows, distribution).reshape(world.states, world.actions)
    following = generator.multinomial(visits, transition)
    return Counts(following.astype(np.float64), visits * np.asarray(world.reward))


def draw_episodes(
    world: FiniteMDP,
    policy: Float[np.ndarray, "horizon states actions"],
    episodes: int,
    generator: np.random.Generator,
) -> Counts:
    """Counts by step, ``[horizon, states, actions]``, of episodes of a policy."""
    present = generator.multinomial(episodes, _rows(world.initial))
    by_step = []
    for step in range(world.horizon):
        transition, reward = (np.asarray(part, np.float64) for part in world.at(step))
        visits = generator.multinomial(present, _rows(policy[step]))
        following = generator.multinomial(visits, _rows(transition))
        rewards = visits * reward if world.reward_noise == "none" else generator.binomial(visits, reward)
        by_step.append((following, rewards))
        present = following.sum((0, 1))
    return Counts(*(np.stack(part).astype(np.float64) for part in zip(*by_step, strict=True)))


def _rows(probabilities: ArrayLike) -> Float[np.ndarray, "..."]:
    """Probabilities in double precision that sum to one exactly enough for NumPy to draw with."""
    rows = np.asarray(probabilities, np.float64)
    return rows / rows.sum(-1, keepdims=True)
