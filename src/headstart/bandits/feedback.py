"""Logged feedback from columns of any kind, with every column that is missing named."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from headstart.bandits.log import Log
from headstart.core.errors import DataError


def logged_feedback(
    actions: ArrayLike,
    rewards: ArrayLike,
    propensities: ArrayLike | None = None,
    contexts: ArrayLike | None = None,
    arms: int | None = None,
    reward_low: float = 0.0,
    reward_high: float = 1.0,
) -> Log:
    """A log as ``Log.of`` makes it, for data that may lack something.

    Args:
        actions: whole numbers from 0.
        rewards: within the declared range.
        propensities: within (0, 1], one a row; or one number for all rows, such as 1 / arms where the logging policy
            drew evenly.
        contexts: ``[rows, features]`` seen by all arms, or ``[rows, arms, features]``; None without context.
        arms: how many there are; by default one more than the largest action.
        reward_low: least possible reward.
        reward_high: largest possible reward.

    Raises:
        DataError: a column is missing or not made of numbers, or as for ``Log.of``.
    """
    if propensities is None:
        raise DataError(
            "propensities are missing: the probability with which each logged action was chosen, in (0, 1]. Give the "
            "column that the logging policy wrote; if it drew evenly, give 1 / arms; if it never drew at random, no "
            "other policy can be valued on this log"
        )
    columns = {"actions": actions, "rewards": rewards, "propensities": propensities}
    if contexts is not None:
        columns["contexts"] = contexts
    checked = {name: _numbers(name, column) for name, column in columns.items()}
    rows = len(checked["actions"]) if checked["actions"].ndim else 0
    if checked["propensities"].ndim == 0:
        checked["propensities"] = np.full(rows, checked["propensities"])
    for name in ("actions", "rewards", "propensities"):
        if checked[name].ndim != 1:
            raise DataError(f"{name} have the shape {list(checked[name].shape)}; expected one number a row")
    return Log.of(**checked, arms=arms, reward_low=reward_low, reward_high=reward_high)


def _numbers(name: str, column: ArrayLike) -> np.ndarray:
    if column is None:
        raise DataError(f"{name} are missing; every row needs one")
    try:
        return np.asarray(column, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} are not numbers: {error}; encode them as numbers first") from error
