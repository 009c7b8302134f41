"""Cascading worlds by name: users who are won by quality and worn out by bait."""

from __future__ import annotations

import numpy as np

from headstart.core.errors import UsageError
from headstart.finite.cascading import CascadingMDP

LEVELS = 5


def engagement(seed: int = 0, items: int = 8, list_size: int = 3, horizon: int = 6) -> CascadingMDP:
    """Five levels of engagement, the episode starting at the top; half of the items are bait, half are quality.

    Bait is clicked often (attraction 0.5 to 0.8) and earns much (0.8 to 1) but drives users down with probability 0.8
    and up with 0.05; quality (0.3 to 0.6, earning 0.4 to 0.6) takes them up with probability 0.7 and down with 0.1.
    Users who click nothing go down with probability 0.5. At level ``s`` attraction is 0.3 + 0.7 s / 4 of what it is at
    the top.

    Raises:
        UsageError: fewer than two items.
    """
    if items < 2:
        raise UsageError(f"{items} items; bait and quality take at least 2")
    generator = np.random.default_rng(seed)
    bait = np.arange(items) < items // 2
    base = np.where(bait, generator.uniform(0.5, 0.8, items), generator.uniform(0.3, 0.6, items))
    reward = np.where(bait, generator.uniform(0.8, 1.0, items), generator.uniform(0.4, 0.6, items))
    levels = np.arange(LEVELS)
    attraction = base * (0.3 + 0.7 * levels[:, None] / (LEVELS - 1))
    moves = [_moves(0.05, 0.8) if is_bait else _moves(0.7, 0.1) for is_bait in bait]
    start = np.eye(LEVELS)[-1]
    return CascadingMDP.of(
        attraction,
        np.tile(reward, (LEVELS, 1)),
        np.stack(moves, axis=1),
        _moves(0.0, 0.5),
        horizon,
        list_size,
        start,
    )


def _moves(up: float, down: float) -> np.ndarray:
    """One level up or down with the given probabilities, staying at the ends; ``[levels, levels]``."""
    steps = up * np.eye(LEVELS, k=1) + down * np.eye(LEVELS, k=-1)
    return steps + np.diag(1 - steps.sum(-1))
