"""Two-player zero-sum games: matrices and finite-horizon Markov games, solved exactly by linear programs (HiGHS).

The first player chooses rows and maximises; the second chooses columns and minimises. NumPy and SciPy: there is one
small program for each state and step, each needing the values of the step after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from headstart.core.errors import DataError, HeadstartError
from headstart.finite.mdp import FiniteMDP
from headstart.finite.planning import backward_induction, evaluate_policy

Rows = Float[np.ndarray, "horizon states rows"]
Columns = Float[np.ndarray, "horizon states columns"]


@dataclass(frozen=True, eq=False)
class MarkovGame:
    """An episodic game in which both players see the state and act at once. Build it with ``MarkovGame.of``."""

    transition: Float[np.ndarray, "horizon states rows columns next"]
    reward: Float[np.ndarray, "horizon states rows columns"]
    """Mean reward of the first player, in [0, 1]; the second loses as much."""
    initial: Float[np.ndarray, " states"]

    @classmethod
    def of(cls, transition: ArrayLike, reward: ArrayLike, horizon: int, initial: ArrayLike | None = None) -> MarkovGame:
        """A game from its arrays, each with or without a leading axis of steps.

        Args:
            transition: probabilities ``[states, rows, columns, next]`` or ``[horizon, states, rows, columns, next]``.
            reward: in [0, 1], ``[states, rows, columns]`` or ``[horizon, states, rows, columns]``.
            horizon: steps of an episode, at least 1.
            initial: probabilities ``[states]`` of the start; state 0 when None.

        Raises:
            UsageError: the horizon is not a positive integer.
            DataError: shapes disagree, a row is no distribution, a reward is outside [0, 1]; joint actions are
                numbered ``row columns + column`` in the message.
        """
        transition, reward = np.asarray(transition, np.float64), np.asarray(reward, np.float64)
        if transition.ndim not in (4, 5) or reward.ndim not in (3, 4) or transition.shape[-3:-1] != reward.shape[-2:]:
            raise DataError(
                f"transition and reward have the shapes {list(transition.shape)} and {list(reward.shape)}; expected "
                "[states, rows, columns, next] and [states, rows, columns], or these with a leading [horizon]"
            )
        rows, columns = reward.shape[-2:]
        joint = FiniteMDP.of(
            transition.reshape(*transition.shape[:-3], rows * columns, transition.shape[-1]),
            reward.reshape(*reward.shape[:-2], rows * columns),
            horizon,
            initial,
        )
        shape = (joint.horizon, joint.states, rows, columns)
        each = (joint.horizon, joint.states, rows * columns)
        return cls(
            np.broadcast_to(joint.transition, (*each, joint.states)).reshape(*shape, joint.states),
            np.broadcast_to(joint.reward, each).reshape(shape),
            np.asarray(joint.initial),
        )

    @property
    def joint(self) -> FiniteMDP:
        """The world of somebody who chooses for both: joint action ``row columns + column``."""
        horizon, states, rows, columns = self.reward.shape
        return FiniteMDP.of(
            self.transition.reshape(horizon, states, rows * columns, states),
            self.reward.reshape(horizon, states, rows * columns),
            horizon,
            self.initial,
        )

    def against_columns(self, policy: Columns) -> FiniteMDP:
        """The world of the first player while the second keeps to a policy."""
        transition = np.einsum("hsb,hsabn->hsan", policy, self.transition)
        return FiniteMDP.of(transition, np.einsum("hsb,hsab->hsa", policy, self.reward), len(policy), self.initial)

    def against_rows(self, policy: Rows) -> FiniteMDP:
        """The world of the second player while the first keeps to a policy; its reward is one minus the first's."""
        transition = np.einsum("hsa,hsabn->hsbn", policy, self.transition)
        reward = 1 - np.einsum("hsa,hsab->hsb", policy, self.reward)
        return FiniteMDP.of(transition, np.clip(reward, 0, 1), len(policy), self.initial)


class Equilibrium(NamedTuple):
    """Values of the first player and a pair of policies that are best against each other."""

    values: Float[np.ndarray, "horizon_and_end states"]
    rows: Rows
    columns: Columns


def solve_matrix_game(
    payoff: Float[np.ndarray, "rows columns"],
) -> tuple[float, Float[np.ndarray, " rows"], Float[np.ndarray, " columns"]]:
    """The minimax value of a matrix game, and both players' optimal mixed strategies.

    Raises:
        DataError: the payoffs are no matrix of finite numbers.
        HeadstartError: a linear program was not solved.
    """
    payoff = np.asarray(payoff, np.float64)
    if payoff.ndim != 2 or 0 in payoff.shape or not np.isfinite(payoff).all():
        raise DataError(f"payoffs have the shape {list(payoff.shape)}; expected finite numbers [rows, columns]")
    value, rows = _maximin(payoff)
    return value, rows, _maximin(-payoff.T)[1]


def _maximin(payoff: Float[np.ndarray, "rows columns"]) -> tuple[float, Float[np.ndarray, " rows"]]:
    """The most that the row player can be sure of, and how."""
    count, others = payoff.shape
    result = _solved(
        np.append(np.zeros(count), -1.0),
        A_ub=np.hstack([-payoff.T, np.ones((others, 1))]),
        b_ub=np.zeros(others),
        A_eq=np.append(np.ones(count), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * count + [(None, None)],
    )
    return float(-result.fun), _distribution(result.x[:count])


def coarse_correlated_equilibrium(
    upper: Float[np.ndarray, "rows columns"], lower: Float[np.ndarray, "rows columns"]
) -> Float[np.ndarray, "rows columns"]:
    """A joint distribution that neither player would leave for a fixed action, the first paid ``upper``, the second
    charged ``lower``; of all such the one with the least ``upper - lower`` on average.

    With ``upper`` equal to ``lower`` it is worth the minimax value.

    Raises:
        HeadstartError: the linear program was not solved.
    """
    rows, columns = upper.shape
    # E[upper] >= sum_b sigma(b) upper(a, b) for every a, and E[lower] <= sum_a sigma(a) lower(a, b) for every b.
    leave_row = np.stack([np.tile(upper[row], (rows, 1)) - upper for row in range(rows)]).reshape(rows, -1)
    leave_column = np.stack([lower - lower[:, [column]] for column in range(columns)]).reshape(columns, -1)
    result = _solved(
        (upper - lower).ravel(),
        A_ub=np.vstack([leave_row, leave_column]),
        b_ub=np.full(rows + columns, 1e-9),
        A_eq=np.ones((1, rows * columns)),
        b_eq=[1.0],
    )
    return _distribution(result.x).reshape(rows, columns)


def solve_game(game: MarkovGame) -> Equilibrium:
    """A Nash equilibrium by backward induction, a matrix game at each state."""
    horizon, states, rows, columns = game.reward.shape
    values = np.zeros((horizon + 1, states))
    first, second = np.zeros((horizon, states, rows)), np.zeros((horizon, states, columns))
    for step in reversed(range(horizon)):
        payoff = game.reward[step] + game.transition[step] @ values[step + 1]
        for state in range(states):
            values[step, state], first[step, state], second[step, state] = solve_matrix_game(payoff[state])
    return Equilibrium(values, first, second)


def exploitability(game: MarkovGame, rows: Rows, columns: Columns) -> float:
    """What the players could gain, added up, if each in turn answered the other's policy in the best way; 0 exactly at
    an equilibrium."""
    best_first = game.initial @ np.asarray(backward_induction(game.against_columns(columns)).values[0])
    best_second = len(rows) - game.initial @ np.asarray(backward_induction(game.against_rows(rows)).values[0])
    return float(best_first - best_second)


def game_value(game: MarkovGame, rows: Rows, columns: Columns) -> float:
    """Expected reward of an episode for the first player."""
    return float(game.initial @ np.asarray(evaluate_policy(game.against_columns(columns), rows)[0]))


def _solved(cost: np.ndarray, **constraints: Any) -> Any:
    """Solve a linear program. Simplex may lose its way among nearly equal payoffs: other ways are tried in turn."""
    result: Any = None
    for method, presolve in (("highs", True), ("highs-ds", False), ("highs-ipm", True), ("highs-ipm", False)):
        result = linprog(cost, method=method, options={"presolve": presolve}, **constraints)
        if result.success:
            return result
    raise HeadstartError(f"the linear program of a game was not solved: {result.message}")


def _distribution(weights: np.ndarray) -> np.ndarray:
    weights = np.clip(weights, 0, None)
    return weights / weights.sum()
