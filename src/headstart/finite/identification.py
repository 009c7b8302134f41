"""Looking for a policy that is good with certainty: plan, check the certificate, explore some more.

NumPy: between two plans the policy is fixed, so that the counts of all episodes played with it are drawn at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.finite.drawing import draw_episodes
from headstart.finite.episodes import Counts
from headstart.finite.mdp import FiniteMDP, Numbers

Policy = Float[np.ndarray, "horizon states actions"]


class Plan(NamedTuple):
    """What to do with the counts so far."""

    policy: Policy
    """To return, if the certificate is small enough."""
    certificate: float
    """With high probability the policy is worse than the best by no more than this."""
    explore: list[Policy]
    """Otherwise, the policies to explore with, each for an equal share of the episodes."""


class Identified(NamedTuple):
    """What a search ended with."""

    policy: Policy
    certificate: float
    episodes: int
    """How many were played."""
    certified: bool
    """False where the search ran out of episodes."""
    counts: Counts
    """What was seen, by step."""


def identify(
    world: FiniteMDP,
    plan: Callable[[Counts], Plan],
    target: float,
    seed: int,
    most_episodes: int = 10_000_000,
    check_every: int = 50,
    growth: float = 0.02,
) -> Identified:
    """Explore until the certificate is at most ``target``, or the episodes run out.

    Args:
        world: only ever played.
        plan: what to do with counts ``[horizon, states, actions]``.
        target: what the certificate is to reach.
        seed: of the episodes.
        most_episodes: when to give up.
        check_every: least number of episodes between two plans.
        growth: that number as a fraction of the episodes so far, where this is more.

    Raises:
        UsageError: the target is not positive.
    """
    if not target > 0:
        raise UsageError(f"the accuracy to certify is {target}; expected more than 0")
    generator = np.random.default_rng(seed)
    cells = (world.horizon, world.states, world.actions)
    counts, episodes = Counts(np.zeros((*cells, world.states)), np.zeros(cells)), 0
    while True:
        now = plan(counts)
        if now.certificate <= target or episodes >= most_episodes:
            return Identified(now.policy, now.certificate, episodes, now.certificate <= target, counts)
        batch = min(max(check_every, int(growth * episodes)), most_episodes - episodes)
        shares = generator.multinomial(batch, np.full(len(now.explore), 1 / len(now.explore)))
        for policy, share in zip(now.explore, shares, strict=True):
            seen = draw_episodes(world, policy, share, generator)
            counts = Counts(counts.transitions + seen.transitions, counts.reward_sums + seen.reward_sums)
        episodes += batch


class Width(NamedTuple):
    """Bernstein's confidence width of the mean of the next value, and its part that vanishes faster."""

    total: Float[np.ndarray, "states actions"]
    fast: Float[np.ndarray, "states actions"]


def bernstein(
    visits: Float[np.ndarray, "states actions"],
    frequencies: Float[np.ndarray, "states actions next"],
    value: Float[Numbers, " next"],
    largest: float,
    scaled_log: float,
) -> Width:
    """``sqrt(2 variance log / visits) + largest log / (3 visits)``, the variance being that of the next value.

    Args:
        visits: of each state and action.
        frequencies: of the next states.
        value: of the next state.
        largest: bound of the value.
        scaled_log: logarithm of the confidence, times a practical scale.
    """
    times = np.maximum(visits, 1)
    variance = np.maximum(frequencies @ value**2 - (frequencies @ value) ** 2, 0)
    fast = largest * scaled_log / (3 * times)
    return Width(np.sqrt(2 * variance * scaled_log / times) + fast, fast)


def mean_rewards(world: FiniteMDP) -> Float[np.ndarray, "horizon states actions"]:
    """The world's rewards at every step; learners of this kind are told them."""
    return np.stack([np.asarray(world.at(step)[1], np.float64) for step in range(world.horizon)])
