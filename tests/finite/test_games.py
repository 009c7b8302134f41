"""Games: known values, equilibria that cannot be exploited, refusals."""

import numpy as np
import pytest

from headstart.core.errors import DataError
from headstart.finite.games import (
    MarkovGame,
    coarse_correlated_equilibrium,
    exploitability,
    game_value,
    solve_game,
    solve_matrix_game,
)
from headstart.finite.planning import backward_induction, value_of

RANDOM = np.random.default_rng(0)


def random_game(horizon=3, states=3, rows=2, columns=3):
    return MarkovGame.of(
        RANDOM.dirichlet(np.ones(states), (horizon, states, rows, columns)),
        RANDOM.random((horizon, states, rows, columns)),
        horizon,
    )


def test_rock_paper_scissors_and_a_saddle_point():
    rock = np.array([[0.5, 0.0, 1.0], [1.0, 0.5, 0.0], [0.0, 1.0, 0.5]])
    value, rows, columns = solve_matrix_game(rock)
    assert value == pytest.approx(0.5)
    assert np.allclose(rows, 1 / 3)
    assert np.allclose(columns, 1 / 3)
    value, rows, columns = solve_matrix_game(np.array([[0.3, 0.4], [0.1, 0.9]]))
    assert (value, rows.tolist(), columns.tolist()) == (pytest.approx(0.3), [1, 0], [1, 0])


def test_a_coarse_correlated_equilibrium_of_a_zero_sum_game_is_worth_its_value():
    for _ in range(20):
        payoff = RANDOM.random((3, 4))
        joint = coarse_correlated_equilibrium(payoff, payoff)
        assert (joint * payoff).sum() == pytest.approx(solve_matrix_game(payoff)[0], abs=1e-6)
        assert joint.sum() == pytest.approx(1)


def test_nobody_gains_by_leaving_a_coarse_correlated_equilibrium():
    for _ in range(20):
        lower = RANDOM.random((3, 2))
        upper = lower + 0.3 * RANDOM.random((3, 2))
        joint = coarse_correlated_equilibrium(upper, lower)
        assert (joint.sum(0) * upper).sum(1).max() <= (joint * upper).sum() + 1e-6
        assert (joint.sum(1)[:, None] * lower).sum(0).min() >= (joint * lower).sum() - 1e-6


def test_the_solution_of_a_markov_game_cannot_be_exploited_and_others_can():
    game = random_game()
    solved = solve_game(game)
    assert exploitability(game, solved.rows, solved.columns) == pytest.approx(0, abs=1e-6)
    assert game_value(game, solved.rows, solved.columns) == pytest.approx(solved.values[0, 0], abs=1e-6)
    even = np.full_like(solved.rows, 1 / 2), np.full_like(solved.columns, 1 / 3)
    assert exploitability(game, *even) > 0.01


def test_a_game_with_one_column_is_a_decision_process():
    game = random_game(columns=1)
    assert solve_game(game).values[0, 0] == pytest.approx(backward_induction(game.joint).values[0, 0])
    rows = solve_game(game).rows
    assert value_of(game.joint, rows) == pytest.approx(game_value(game, rows, np.ones((3, 3, 1))))


def test_refusals():
    with pytest.raises(DataError, match="states, rows, columns, next"):
        MarkovGame.of(np.ones((2, 2, 2)), np.ones((2, 2)), 2)
    with pytest.raises(DataError, match="sums to"):
        MarkovGame.of(np.ones((1, 2, 2, 1)) / 2, np.zeros((1, 2, 2)), 2)
