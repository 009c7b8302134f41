"""Policies that users bring along: checked, valued, played.

What ``planning`` computes of a policy it computes of any array, as it must inside compiled programs; a row that does
not sum to one would give numbers that mean nothing. Here such a row is named.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from headstart.core.errors import DataError
from headstart.finite.episodes import Episodes, collect
from headstart.finite.mdp import ROW_TOLERANCE, DiscountedMDP, FiniteMDP
from headstart.finite.planning import (
    backward_induction,
    discounted_occupancy,
    evaluate_policy,
    evaluate_stationary,
    occupancy,
    value_iteration,
)


class PolicyReport(NamedTuple):
    """What a policy is worth, exactly."""

    value: float
    """Expected reward from the world's start: of an episode, or discounted."""
    optimal: float
    """The same of an optimal policy."""
    values: Float[np.ndarray, "*steps states"]
    """From each state, ``[horizon + 1, states]`` or ``[states]``."""
    occupancy: Float[np.ndarray, "*steps states actions"]
    """How often it gets to each state and takes each action; sums to 1 at every step, or over all when discounted."""


def checked_policy(world: FiniteMDP | DiscountedMDP, policy: ArrayLike) -> Float[np.ndarray, "*steps states actions"]:
    """A policy as float64.

    Args:
        world: in which it acts.
        policy: probabilities ``[horizon, states, actions]``; ``[states, actions]`` in a discounted world.

    Raises:
        DataError: another shape, or a row that is negative, not finite or does not sum to one; the first is named.
    """
    try:
        given = np.asarray(policy, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the policy is not an array of numbers: {error}") from error
    shape, names = (world.states, world.actions), ("state",)
    if isinstance(world, FiniteMDP):
        shape, names = (world.horizon, *shape), ("step", "state")
    if given.shape != shape:
        meaning = "[horizon, states, actions]" if len(shape) == 3 else "[states, actions]"
        raise DataError(
            f"the policy has the shape {list(given.shape)}; expected {list(shape)}, {meaning}, each row the "
            "probabilities of the actions"
        )
    sums = given.sum(-1)
    wrong = ~((given >= 0).all(-1) & (np.abs(sums - 1) <= ROW_TOLERANCE))
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0])
        place = ", ".join(f"{name} {index}" for name, index in zip(names, where, strict=True))
        raise DataError(
            f"the policy at {place} is {np.round(given[where], 6).tolist()}, which sums to {sums[where]:.6g}; "
            f"probabilities of actions are at least 0 and sum to 1 ({np.count_nonzero(wrong)} of {wrong.size} rows do "
            "not): divide each row by its sum"
        )
    return given


def evaluate(world: FiniteMDP | DiscountedMDP, policy: ArrayLike) -> PolicyReport:
    """What a policy is worth and where it goes; errors as for ``checked_policy``."""
    checked = checked_policy(world, policy)
    if isinstance(world, FiniteMDP):
        values = np.asarray(evaluate_policy(world, checked))
        best, start, visited = backward_induction(world).values[0], values[0], occupancy(world, checked)
    else:
        start = values = np.asarray(evaluate_stationary(world, checked))
        best, visited = value_iteration(world, 1e-9).values, discounted_occupancy(world, checked)
    initial = np.asarray(world.initial, np.float64)
    return PolicyReport(float(initial @ start), float(initial @ np.asarray(best)), values, np.asarray(visited))


def record(world: FiniteMDP, policy: ArrayLike, episodes: int, seed: int = 0) -> Episodes:
    """Episodes of a policy (``episodes.collect``); errors as for ``checked_policy``."""
    return collect(world, checked_policy(world, policy), episodes, seed)


def read_policy(path: Path | str, world: FiniteMDP | DiscountedMDP) -> Float[np.ndarray, "*steps states actions"]:
    """A policy from ``.npy``, or from the array ``policy`` of an ``.npz`` such as ``headstart finite solve --out``.

    Raises:
        DataError: the file is missing, holds no such array, or as for ``checked_policy``.
    """
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            with found:
                if "policy" not in found.files:
                    raise DataError(f"{path} holds {', '.join(found.files) or 'nothing'}; expected an array policy")
                found = found["policy"]
    except DataError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a policy (.npy, or .npz with the array policy): {error}") from error
    return checked_policy(world, found)
