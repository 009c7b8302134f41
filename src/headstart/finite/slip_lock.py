"""A lock that slips, and a class of plausible explanations of it most of which are wrong."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from headstart.core.errors import UsageError
from headstart.finite.mdp import FiniteMDP

GOOD, DEAD, BONUS = range(3)
SLIP, TOP, CONSOLATION, DUD = 0.3, 0.9, 0.1, 0.05


def slip_lock(seed: int = 0, horizon: int = 4, actions: int = 3) -> FiniteMDP:
    """Enter a code, drawn from the seed, although every right action fails with probability 0.3.

    States are good (the start), dead and bonus, which is never reached. Wrong actions lead from good to dead for the
    rest of the episode. Rewards come at the last step and are 0 or 1: the code's action in good pays 0.9 on average,
    action 0 in dead 0.1.
    """
    return locked(tuple(np.random.default_rng(seed).integers(0, actions, horizon)), actions)


def locked(
    code: Sequence[int], actions: int = 3, top: float = TOP, shortcut: tuple[int, int] | None = None
) -> FiniteMDP:
    """The lock of a code.

    Args:
        code: the right action of each step.
        actions: number of actions.
        top: mean reward of the code's last action in good.
        shortcut: a step before the last, and an action that leads from good to the bonus, worth 1, unless it slips.

    Raises:
        UsageError: the shortcut is at the last step, or is the code's own action.
    """
    horizon = len(code)
    transition = np.zeros((horizon, 3, actions, 3))
    transition[:, [GOOD, DEAD], :, DEAD] = 1
    transition[:, BONUS, :, BONUS] = 1
    transition[np.arange(horizon), GOOD, code] = [1 - SLIP, SLIP, 0]
    reward = np.zeros((horizon, 3, actions))
    reward[-1, GOOD, code[-1]], reward[-1, DEAD, 0], reward[-1, BONUS] = top, CONSOLATION, 1
    if shortcut is not None:
        step, action = shortcut
        if not 0 <= step < horizon - 1 or code[step] == action:
            raise UsageError(f"a shortcut is a wrong action before the last step; given {shortcut} and code {code}")
        transition[step, GOOD, action] = [0, SLIP, 1 - SLIP]
    return FiniteMDP.of(transition, reward, horizon, reward_noise="bernoulli")


def explanations(horizon: int = 4, actions: int = 3) -> list[FiniteMDP]:
    """Every lock there could be: first duds, which pay too little to be worth it, then decoys, which promise a
    shortcut at one step, then the true kind.

    One that is asked for the first of those that fit the data equally well gets the true one last. There are
    ``actions**horizon`` codes, each with one dud, ``(horizon - 1) (actions - 1)`` decoys and one true lock.
    """
    codes = list(itertools.product(range(actions), repeat=horizon))
    duds = [locked(code, actions, top=DUD) for code in codes]
    decoys = [
        locked(code, actions, shortcut=(step, action))
        for code in codes
        for step, action in itertools.product(range(horizon - 1), range(actions))
        if code[step] != action
    ]
    return [*duds, *decoys, *(locked(code, actions) for code in codes)]
