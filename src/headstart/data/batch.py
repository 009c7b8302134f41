"""What a method learns from: a handful of transitions."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Float, Int


class Batch(NamedTuple):
    """Transitions along a leading axis; with n-step targets, each stands for a window of up to n of them.

    A bootstrapped target is ``rewards + discounts * (1 - terminations) * value(next_observations)``, at time limits
    and inside windows of any length alike.

    Attributes:
        observations: where the action was taken, float32.
        actions: what was done, in the world's own units; float32 (Box) or int32 (Discrete).
        rewards: what followed, float32: the discounted sum over the window.
        next_observations: where the window ended, never a reset state, float32.
        terminations: 1.0 where the world truly ended there (never on a time limit), float32.
        discounts: ``discount ** (number of rewards summed)``, float32.
        returns_to_go: discounted return from ``observations`` to the end of the episode, float32.
        next_actions: the recorded action at ``next_observations``; at the end of an episode, where there is none, the
            last action again.
    """

    observations: Float[Array, "batch ..."]
    actions: Float[Array, "batch ..."] | Int[Array, " batch"]
    rewards: Float[Array, " batch"]
    next_observations: Float[Array, "batch ..."]
    terminations: Float[Array, " batch"]
    discounts: Float[Array, " batch"]
    returns_to_go: Float[Array, " batch"] | None = None
    next_actions: Float[Array, "batch ..."] | Int[Array, " batch"] | None = None
