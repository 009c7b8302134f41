"""A lock behind which two players meet: exploring before competing."""

from __future__ import annotations

import numpy as np

from headstart.core.errors import UsageError
from headstart.finite.block_lock import block_lock
from headstart.finite.games import MarkovGame


def block_duel(
    horizon: int = 6, rows: int = 4, columns: int = 2, observations: int = 5, decoy: float = 0.1, seed: int = 0
) -> MarkovGame:
    """The lock as a game: the first player has to open it to meet the second.

    Before the last step only the first player's action matters, as in ``block_lock``. At the last step the good hidden
    states are matrix games with payoffs drawn evenly from [0.2, 1]; the bad one pays nothing.

    Args:
        horizon: steps of an episode, at least 2.
        rows: actions of the first player, at least 2.
        columns: actions of the second, at least 1.
        observations: of each hidden state.
        decoy: reward of a wrong action in a good state before the last step.
        seed: of the right actions and the payoffs.

    Raises:
        UsageError: sizes that make no lock.
    """
    lock = block_lock(horizon, rows, observations, decoy, seed)
    if columns < 1:
        raise UsageError(f"columns is {columns}; the second player needs at least 1 action")
    payoffs = np.zeros((3, rows, columns))
    payoffs[:2] = np.random.default_rng([seed, 1]).uniform(0.2, 1.0, (2, rows, columns))
    reward = np.repeat(np.asarray(lock.reward)[..., None], columns, axis=-1)
    reward[-1] = payoffs[np.repeat(np.arange(3), observations)]
    transition = np.repeat(np.asarray(lock.transition)[:, :, :, None], columns, axis=3)
    return MarkovGame.of(transition, reward, horizon, lock.initial)
