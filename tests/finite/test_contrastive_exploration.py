"""Contrastive-UCB: the lock and the duel behind it, planning and bonus by hand, exploring, refusals."""

import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.finite.block_duel import block_duel
from headstart.finite.block_lock import block_lock
from headstart.finite.contrastive_game import ContrastiveUCBGame, plan_game
from headstart.finite.contrastive_ucb import ContrastiveUCB, elliptical_bonus, plan, roll_in
from headstart.finite.games import exploitability, solve_game
from headstart.finite.planning import backward_induction, greedy, value_of


def test_the_lock_is_worth_one_and_giving_up_the_decoy():
    world = block_lock(horizon=4, observations=3, seed=2)
    solution = backward_induction(world)
    assert world.initial @ solution.values[0] == pytest.approx(1.0)
    for action in range(4):
        always = np.broadcast_to(np.eye(4)[action], (4, 9, 4))
        assert 0.1 - 1e-9 <= value_of(world, always) < 1
    hidden = world.transition.reshape(4, 3, 3, 4, 9)
    assert (hidden == hidden[:, :, :1]).all()  # observations of one hidden state behave alike


def test_bonus_of_one_hot_features_is_one_over_the_root_of_visits():
    features, visits = np.eye(6).reshape(3, 2, 6), np.arange(12.0).reshape(2, 3, 2)
    assert np.allclose(elliptical_bonus(features, visits, 1.0), 1 / np.sqrt(1 + visits))


def test_planning_in_the_true_world_is_optimal():
    world = block_lock(horizon=4, observations=3, seed=2)
    policy = plan(np.asarray(world.reward), np.asarray(world.transition))
    assert value_of(world, policy) == pytest.approx(1.0)


def test_rolling_in_follows_the_policy_up_to_each_step_in_turn():
    world = block_lock(horizon=4, observations=3, seed=2)
    always = np.broadcast_to(np.eye(4)[1], (4, 9, 4))
    visits = roll_in(world, always, 1000, np.random.default_rng(0)).sum((1, 3)) / 4000
    assert np.allclose(visits.sum(1), 1)
    assert np.allclose(visits[:, 1], [0.8125, 0.625, 0.4375, 0.25], atol=0.05)


def test_the_bonus_opens_a_small_lock():
    world = block_lock(horizon=3, actions=3, observations=4, seed=1)
    explored = ContrastiveUCB().explore(world, 12, seed=0)
    assert explored.values[-1] == pytest.approx(1.0, abs=0.02)
    assert explored.values[-1] == pytest.approx(value_of(world, explored.policy))
    assert explored.episodes == 12 * 3 * 10
    visits = explored.transitions.sum(-1)
    error = 0.5 * np.abs(explored.transition - world.transition).sum(-1)
    assert (error * visits).sum() / visits.sum() < 0.15


def test_a_seed_is_a_run_and_watching_sees_each_iteration():
    world, seen = block_lock(horizon=2, actions=2, observations=2), []
    learner = ContrastiveUCB(updates=5, negatives="marginal")
    first = learner.explore(
        world, 2, seed=3, watch=lambda iteration, explored: seen.append((iteration, explored.episodes))
    )
    assert seen == [(0, 20), (1, 40)]
    assert np.array_equal(first.transition, learner.explore(world, 2, seed=3).transition)


def test_planning_a_known_game_is_worth_its_value():
    game = block_duel(horizon=3, observations=1)
    horizon, states, rows, columns = game.reward.shape
    transition = game.transition.reshape(horizon, states, rows * columns, states)
    joint = plan_game(game.reward, transition, np.zeros((horizon, states, rows * columns)))
    assert value_of(game.joint, joint) == pytest.approx(game.initial @ solve_game(game).values[0], abs=1e-4)


def test_a_learned_duel_is_hard_to_exploit():
    game = block_duel(horizon=2, rows=2, observations=2, seed=1)
    played = ContrastiveUCBGame().explore(game, 8, seed=0)
    even = greedy(np.zeros((2, 6, 2)))
    learned = exploitability(game, played.rows, played.columns)
    assert 0 <= learned + 1e-9 < 0.5 * exploitability(game, even, even)


def test_refusals():
    with pytest.raises(UsageError, match="bonus"):
        ContrastiveUCB(bonus=-1.0)
    with pytest.raises(UsageError, match="marginal"):
        ContrastiveUCB(**{"negatives": "none"})
    for learner, world in ((ContrastiveUCB(), block_lock()), (ContrastiveUCBGame(), block_duel())):
        with pytest.raises(UsageError, match="iterations is 0"):
            learner.explore(world, 0)
    with pytest.raises(UsageError, match="horizon is 1"):
        block_lock(horizon=1)
    with pytest.raises(UsageError, match="columns"):
        block_duel(columns=0)
