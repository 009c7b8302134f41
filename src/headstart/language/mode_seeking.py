"""How fast exact gradient steps on logits move probability to a target, by which divergence is descended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from headstart.core.errors import UsageError


def steps_to_target(
    start: Sequence[float],
    target: Sequence[float],
    divergence: Literal["reverse", "forward"],
    step: float = 0.05,
    share: float = 0.9,
    limit: int = 100_000,
) -> int:
    """Steps until the target's likeliest entry has ``share`` of its probability.

    Args:
        start: probabilities to begin with.
        target: probabilities to come to.
        divergence: ``reverse`` is KL(policy || target), which seeks modes; ``forward`` KL(target || policy), which is
            maximum likelihood on samples of the target and covers mass.
        step: of gradient descent on the logits.
        share: where to stop.
        limit: most steps taken; returned if the target was not reached.
    """
    if divergence not in ("reverse", "forward"):
        raise UsageError(f"divergence {divergence!r} is not known; expected 'reverse' or 'forward'")
    wanted = np.asarray(target, np.float64)
    logits, goal = np.log(np.asarray(start, np.float64)), int(wanted.argmax())
    for count in range(limit):
        policy = np.exp(logits - logits.max())
        policy /= policy.sum()
        if policy[goal] >= share * wanted[goal]:
            return count
        if divergence == "forward":
            gradient = policy - wanted
        else:
            ratio = np.log(policy / wanted)
            gradient = policy * (ratio - policy @ ratio)
        logits = logits - step * gradient
    return limit
