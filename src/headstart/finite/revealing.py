"""How much observations reveal of hidden states, and what hiding them costs to learn.

A partially observable world is alpha-revealing over ``m`` steps if the state before can be told, on average, from the
next ``m`` observations: if the matrix of their probabilities (a column for each state, a row for each sequence of
observations and actions) has a left inverse whose columns have absolute sums of at most ``1 / alpha`` (Liu, Chung,
Szepesvari and Jin 2022; Chen, Wang, Xiong, Mei and Bai 2023, arXiv 2302.01333).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headstart.core.errors import HeadstartError, UsageError
from headstart.finite.pomdp import FinitePOMDP


def revealing_constant(world: FinitePOMDP, steps: int) -> float:
    """The largest alpha for which the world is alpha-revealing over ``steps`` observations; 0 if it is not revealing.

    States that cannot be reached at a step need not be told apart there. Exact, by a linear program at each step.

    Args:
        world: the world.
        steps: ``m``, from 1 to the horizon.

    Raises:
        UsageError: the window is no part of an episode.
        HeadstartError: a linear program was not solved.
    """
    if not 1 <= steps <= world.horizon:
        raise UsageError(f"steps is {steps}; expected 1 to the horizon, {world.horizon}")
    reachable = world.initial > 0
    alpha = np.inf
    for start in range(world.horizon - steps + 1):
        matrix = window_probabilities(world, start, steps)[:, reachable]
        alpha = min(alpha, _best_left_inverse(matrix))
        reachable = (world.transition[start][reachable] > 0).any((0, 1))
    return float(alpha)


def window_probabilities(world: FinitePOMDP, start: int, steps: int) -> Float[np.ndarray, "sequences states"]:
    """Probabilities of the observations at ``start, …, start + steps - 1`` given the state at ``start`` and the actions
    between them; a row for each sequence ``observation, action, observation, …``.
    """
    later = world.emission[start + steps - 1]
    for step in reversed(range(start, start + steps - 1)):
        moved = world.transition[step] @ later  # [states, actions, sequences after]
        later = (world.emission[step][:, :, None, None] * moved[:, None]).reshape(world.states, -1)
    return later.T


def pomdp_exploration_cost(
    states: int, observations: int, actions: int, alpha: float, epsilon: float, steps: int = 2
) -> float:
    """The order of the episodes that learning takes in the worst alpha-revealing world, ``steps`` at least 2.

    ``states sqrt(observations) actions^(steps - 1) / (alpha epsilon)^2``: the lower bound without its constant, its
    power of the horizon and its logarithms (whose exact form is unverified). For comparison, a world of that size that
    is seen takes ``states actions / epsilon^2``.

    Args:
        states: hidden states.
        observations: observations.
        actions: actions.
        alpha: as of ``revealing_constant``.
        epsilon: accuracy, in value of an episode.
        steps: the window over which the world is revealing.

    Raises:
        UsageError: alpha is 0 (the world is not revealing: no number of episodes of this order is enough) or numbers
            are out of range.
    """
    if not (alpha > 0 and epsilon > 0 and steps >= 2 and min(states, observations, actions) >= 1):
        raise UsageError(
            f"alpha is {alpha}, epsilon {epsilon} and steps {steps}; expected alpha and epsilon above 0 and at least 2 "
            "steps: a world that is not revealing (alpha 0) has no such bound"
        )
    return states * observations**0.5 * actions ** (steps - 1) / (alpha * epsilon) ** 2


def _best_left_inverse(matrix: Float[np.ndarray, "rows states"]) -> float:
    """One over the least largest column sum of ``|X|`` with ``X matrix = I``; 0 if there is no such X."""
    from scipy.optimize import linprog
    from scipy.sparse import block_diag, bmat, eye, hstack

    rows = _merge_proportional(matrix)
    count, states = rows.shape
    if np.linalg.matrix_rank(rows) < states:
        return 0.0
    # Unknowns: X = above - below, state by state, both at least 0; then the largest column sum.
    identity = block_diag([rows.T] * states)
    equalities = bmat([[identity, -identity, np.zeros((states * states, 1))]])
    sums = hstack([eye(count)] * (2 * states) + [-np.ones((count, 1))])
    cost = np.zeros(2 * states * count + 1)
    cost[-1] = 1.0
    result = linprog(
        cost, A_ub=sums.tocsr(), b_ub=np.zeros(count), A_eq=equalities.tocsr(), b_eq=np.eye(states).ravel()
    )
    if not result.success:
        raise HeadstartError(f"the linear program of the revealing constant was not solved: {result.message}")
    return 1.0 / float(result.fun)


def _merge_proportional(matrix: Float[np.ndarray, "rows states"]) -> Float[np.ndarray, "merged states"]:
    """Rows that say the same of the states, added up: an inverse may treat them alike without loss (convexity)."""
    matrix = matrix[matrix.sum(1) > 0]
    directions = np.round(matrix / matrix.sum(1, keepdims=True), 10)
    _, which = np.unique(directions, axis=0, return_inverse=True)
    merged = np.zeros((which.max() + 1, matrix.shape[1]))
    np.add.at(merged, which.reshape(-1), matrix)
    return merged
