"""How well data, or any data, can cover a world: the coefficients that offline and hybrid guarantees are stated in.

``d`` is a policy's occupancy and ``mu`` that of the data: probabilities of each state and action, at each step of an
episodic world or discounted (``planning.occupancy``, ``planning.discounted_occupancy``; visits divided by episodes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from headstart.core.errors import DataError, UsageError
from headstart.finite.mdp import DiscountedMDP, FiniteMDP, Numbers
from headstart.finite.planning import backward_induction, discounted_occupancy, occupancy, value_iteration
from headstart.finite.policies import checked_policy

World = FiniteMDP | DiscountedMDP


def concentrability(world: World, policy: Numbers, data_occupancy: Numbers) -> float:
    """The largest ratio ``d / mu``; infinite where the policy goes and the data do not.

    Args:
        world: episodic or discounted.
        policy: ``[horizon, states, actions]`` or ``[states, actions]``.
        data_occupancy: of the policy's shape.

    Raises:
        DataError: the policy or the data's occupancy has another shape, or is not made of probabilities.
    """
    return float(_ratio(_occupancy(world, policy), data_occupancy).max())


def single_policy_concentrability(world: World, data_occupancy: Numbers) -> float:
    """``concentrability`` of the optimal policy (of the lowest actions, if there are several): ``C*``."""
    return concentrability(world, _optimal(world), data_occupancy)


def clipped_concentrability(
    world: World, policy: Numbers, data_occupancy: Numbers, clip: float
) -> Float[np.ndarray, " steps"]:
    """``E_d[min(d / mu, clip)]`` at each step, ``[horizon]``; ``[1]`` in a discounted world.

    The coefficient of Amortila et al. 2024 ("Harnessing density ratios for online reinforcement learning", section 4):
    finite whatever the data leave out, at most ``clip``.

    Raises:
        UsageError: a clip below 0.
        DataError: as for ``concentrability``.
    """
    if not clip >= 0:
        raise UsageError(f"clip is {clip}; ratios are cut at a number of at least 0")
    visited = _occupancy(world, policy)
    expected = visited * np.minimum(_ratio(visited, data_occupancy), clip)
    return expected.reshape(-1, world.states * world.actions).sum(-1)


def coverability(mdp: FiniteMDP) -> float:
    """The concentrability of the best data there could be, for the worst policy and step (Xie et al. 2023).

    It equals the largest, over steps, of ``sum over states and actions of max over policies of d``; at most states
    times actions.
    """
    return float(mdp.actions * reachability(mdp).sum(-1).max())


def reachability(mdp: FiniteMDP) -> Float[np.ndarray, "horizon states"]:
    """The largest probability with which any policy is in a state at a step."""
    reached = [np.asarray(mdp.initial, np.float64)]
    for target in range(1, mdp.horizon):
        being_there = np.eye(mdp.states)  # [state, where to be at the target step]
        for step in reversed(range(target)):
            being_there = (np.asarray(mdp.at(step)[0]) @ being_there).max(1)
        reached.append(np.asarray(mdp.initial) @ being_there)
    return np.stack(reached)


def _occupancy(world: World, policy: Any) -> np.ndarray:
    checked = checked_policy(world, policy)
    return np.asarray(
        occupancy(world, checked) if isinstance(world, FiniteMDP) else discounted_occupancy(world, checked), np.float64
    )


def _optimal(world: World) -> Any:
    return (backward_induction(world) if isinstance(world, FiniteMDP) else value_iteration(world)).policy


def _ratio(visited: np.ndarray, data_occupancy: Any) -> np.ndarray:
    data = np.asarray(data_occupancy, np.float64)
    if data.shape != visited.shape:
        raise DataError(f"the data's occupancy has the shape {list(data.shape)}; expected {list(visited.shape)}")
    if not (np.isfinite(data) & (data >= 0)).all():
        raise DataError("the data's occupancy has entries that are negative or not finite; expected probabilities")
    total = data.reshape(-1, data.shape[-2] * data.shape[-1]).sum(-1)
    if (total > 1 + 1e-5).any():
        step = int(total.argmax())
        raise DataError(
            f"the data's occupancy sums to {total[step]:.4g} at step {step}; probabilities sum to at most 1: divide "
            "visits by the number of episodes"
        )
    missed = np.where(visited > 0, np.inf, 0.0)
    return np.divide(visited, data, out=missed, where=data > 0)
