"""Recorded episodes: played, counted, refused; fitted Q-iteration on them."""

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.episodes import collect, count
from headstart.finite.fitted_q import fitted_q
from headstart.finite.linear import random_linear_world
from headstart.finite.planning import backward_induction, occupancy, value_of
from headstart.finite.worlds import random_world

WORLD = random_world(states=4, actions=3, horizon=5, concentration=0.5)
POLICY = np.random.default_rng(0).dirichlet(np.ones(3), (5, 4))


def test_episodes_follow_the_policy_and_the_world():
    data = collect(WORLD, POLICY, 40_000)
    counts = count(data, WORLD.spec)
    np.testing.assert_allclose(counts.visits / 40_000, occupancy(WORLD, POLICY), atol=0.01)
    pooled = count(data, WORLD.spec, pooled=True)
    np.testing.assert_array_equal(pooled.transitions[0], counts.transitions.sum(0))
    often = pooled.visits[0] > 1000
    frequencies = pooled.transitions[0][often] / pooled.visits[0][often][:, None]
    np.testing.assert_allclose(frequencies, WORLD.transition[0][often], atol=0.05)
    assert data.rewards.sum(1).mean() == pytest.approx(value_of(WORLD, POLICY), abs=0.03)
    assert counts.reward_sums.sum() == pytest.approx(data.rewards.sum())
    np.testing.assert_array_equal(data.observations[:, 1:], data.next_observations[:, :-1])
    assert data.select(slice(10)).actions.shape == (10, 5)


def test_the_same_seed_plays_the_same_episodes():
    np.testing.assert_array_equal(collect(WORLD, POLICY, 9, 4).actions, collect(WORLD, POLICY, 9, 4).actions)


def test_data_that_do_not_fit_the_world_are_refused():
    data = collect(WORLD, POLICY, 6)

    def refusal(message, **columns):
        with pytest.raises(DataError, match=message):
            count(data._replace(**columns), WORLD.spec)

    wrong = data.actions.copy()
    wrong[4, 2] = 3
    refusal("actions of episode 4 at step 2 is 3; expected 0 to 2", actions=wrong)
    refusal("expected whole numbers", observations=data.observations.astype(float))
    refusal("rewards of episode 0 at step 0 is nan", rewards=np.full((6, 5), np.nan))
    refusal(r"shape \[6, 4\]", rewards=data.rewards[:, :4])
    with pytest.raises(UsageError, match="policy has the shape"):
        collect(WORLD, POLICY[0], 6)


def test_fitted_q_finds_the_optimum_from_data_that_cover():
    uniform = np.full((5, 4, 3), 1 / 3)
    data = collect(WORLD, uniform, 30_000)
    optimal = backward_induction(WORLD)
    fitted = fitted_q(data, WORLD.spec)
    assert value_of(WORLD, fitted.policy) > optimal.values[0, 0] - 0.02
    np.testing.assert_allclose(fitted.values[0, 0], optimal.values[0, 0], atol=0.05)

    world = random_linear_world(states=10, actions=4, dimension=3, horizon=4)
    data = collect(world, np.full((4, 10, 4), 0.25), 20_000)
    linear = fitted_q(data, world.spec, world.features)
    np.testing.assert_allclose(linear.action_values, backward_induction(world).action_values, atol=0.1)


def test_a_design_without_full_rank_is_refused_unless_there_is_a_ridge():
    data = collect(WORLD, np.tile([1.0, 0, 0], (5, 4, 1)), 50)
    with pytest.raises(DataError, match=r"rank \d of 12"):
        fitted_q(data, WORLD.spec, ridge=0)
    assert fitted_q(data, WORLD.spec).values.shape == (6, 4)
