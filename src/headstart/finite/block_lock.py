"""A combination lock seen through many observations: rich on the outside, a few hidden states within.

A block MDP: which hidden state an observation comes from is fixed, but has to be found out. Two good hidden states have
a right action at each step, which keeps to the good ones; any other leads to the bad one for good, for a small reward
at once. The right actions all the way pay 1 in the end.
"""

from __future__ import annotations

import numpy as np

from headstart.core.errors import UsageError
from headstart.finite.mdp import FiniteMDP


def block_lock(
    horizon: int = 6, actions: int = 4, observations: int = 10, decoy: float = 0.1, seed: int = 0
) -> FiniteMDP:
    """The lock as a world of ``3 observations`` states.

    State ``s`` comes from hidden state ``s // observations``: 0 and 1 are good, 2 is bad. An episode starts in an
    observation of a good one; an optimal policy is worth 1, giving up is worth the decoy.

    Args:
        horizon: steps of an episode, at least 2.
        actions: at least 2.
        observations: of each hidden state, all equally likely.
        decoy: reward of a wrong action in a good state before the last step, in [0, 1].
        seed: of the right actions.

    Raises:
        UsageError: sizes that make no lock.
    """
    if horizon < 2 or actions < 2 or observations < 1 or not 0 <= decoy <= 1:
        raise UsageError(
            f"horizon is {horizon}, actions {actions}, observations {observations}, decoy {decoy}; expected at least "
            "2, 2 and 1, and a decoy in [0, 1]"
        )
    code = np.random.default_rng(seed).integers(actions, size=(horizon, 2))
    right = code[:, :, None] == np.arange(actions)  # [horizon, good hidden states, actions]
    hidden = np.zeros((horizon, 3, actions, 3))
    hidden[:, :2, :, :2] = 0.5 * right[..., None]
    hidden[:, :2, :, 2] = ~right
    hidden[:, 2, :, 2] = 1.0
    reward = np.zeros((horizon, 3, actions))
    reward[:-1, :2] = decoy * ~right[:-1]
    reward[-1, :2] = right[-1]
    seen = np.repeat(np.arange(3), observations)
    transition = hidden[:, seen][..., seen] / observations
    initial = np.where(seen < 2, 1 / (2 * observations), 0.0)
    return FiniteMDP.of(transition, reward[:, seen], horizon, initial)
