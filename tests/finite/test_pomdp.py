"""Partially observable worlds: filter and plan against enumeration, what they reveal, what they refuse."""

import itertools

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.pomdp import BeliefPlan, BeliefPolicy, FinitePOMDP, Histories, log_likelihood, open_loop, play
from headstart.finite.revealing import pomdp_exploration_cost, revealing_constant

RANDOM = np.random.default_rng(0)


def random_pomdp(states=3, actions=2, observations=2, horizon=3):
    return FinitePOMDP.of(
        RANDOM.dirichlet(np.ones(states), (horizon, states, actions)),
        RANDOM.dirichlet(np.ones(observations), (horizon, states)),
        RANDOM.random((horizon, states, actions)),
        horizon,
        RANDOM.dirichlet(np.ones(states)),
    )


WORLD = random_pomdp()


def paths(world, observations, actions):
    """Probability of each path of states together with the observations."""
    for states in itertools.product(range(world.states), repeat=world.horizon):
        chance = world.initial[states[0]]
        for step, state in enumerate(states):
            chance *= world.emission[step, state, observations[step]]
            if step:
                chance *= world.transition[step - 1, states[step - 1], actions[step - 1], state]
        yield states, chance


def test_likelihood_is_the_sum_over_paths():
    world = FinitePOMDP.of(WORLD.transition, WORLD.emission, np.zeros((3, 3, 2)), 3, WORLD.initial)
    observations, actions = np.array([[0, 1, 1], [1, 1, 0]]), np.array([[1, 0, 1], [0, 0, 0]])
    expected = [sum(chance for _, chance in paths(world, *row)) for row in zip(observations, actions)]
    given = Histories(observations, actions, np.zeros((2, 3)))
    assert np.allclose(np.exp(log_likelihood(world, given)), expected)


def test_rewards_tell_of_the_state_too():
    reward = np.zeros((1, 2, 1))
    reward[0, 1] = 1.0
    world = FinitePOMDP.of(np.ones((2, 1, 2)) / 2, np.ones((2, 1)), reward, 1, [0.25, 0.75])
    seen = Histories(np.zeros((3, 1), int), np.zeros((3, 1), int), np.array([[0.0], [1.0], [0.5]]))
    assert np.exp(log_likelihood(world, seen)).tolist() == [0.25, 0.75, 0.0]


def test_plan_is_the_best_of_all_policies_and_its_value_is_exact():
    world = random_pomdp(states=2, horizon=2)
    plan = BeliefPlan(world)
    best = 0.0
    for first in itertools.product((0, 1), repeat=2):  # by the first observation
        for second in itertools.product((0, 1), repeat=4):  # by both
            value = 0.0
            for seen in itertools.product((0, 1), repeat=2):
                actions = first[seen[0]], second[2 * seen[0] + seen[1]]
                for states, chance in paths(world, seen, actions):
                    value += chance * sum(world.reward[h, s, a] for h, (s, a) in enumerate(zip(states, actions)))
            best = max(best, value)
    assert plan.value == pytest.approx(best)
    assert BeliefPolicy(plan).value_in(world) == pytest.approx(best)


def test_playing_collects_the_value():
    policy = BeliefPolicy(BeliefPlan(WORLD))
    played = play(WORLD, policy.choose, 4000, np.random.default_rng(1))
    returns = played.rewards.sum(1)
    assert abs(returns.mean() - policy.plan.value) < 4 * returns.std() / 4000**0.5
    fixed = play(WORLD, open_loop([1, 0, 1]), 5, np.random.default_rng(1))
    assert (fixed.actions == [1, 0, 1]).all()


def test_revealing_constants_that_are_known():
    transition, reward = np.ones((2, 1, 2)) / 2, np.zeros((2, 1))
    seen, noisy, blind = np.eye(2), np.array([[0.75, 0.25], [0.25, 0.75]]), np.ones((2, 2)) / 2
    start = [0.5, 0.5]
    for emission, alpha in ((seen, 1.0), (noisy, 0.5), (blind, 0.0)):
        assert revealing_constant(FinitePOMDP.of(transition, emission, reward, 1, start), 1) == pytest.approx(alpha)
    assert revealing_constant(FinitePOMDP.of(transition, blind, reward, 1, [1.0, 0.0]), 1) == pytest.approx(1.0)
    with pytest.raises(UsageError, match="1 to the horizon, 1"):
        revealing_constant(FinitePOMDP.of(transition, seen, reward, 1, start), 2)


def test_cost_of_hidden_states():
    assert pomdp_exploration_cost(4, 16, 2, 0.5, 0.1) == pytest.approx(4 * 4 * 2 / 0.0025)
    with pytest.raises(UsageError, match="not revealing"):
        pomdp_exploration_cost(4, 16, 2, 0.0, 0.1)


def test_refusals():
    transition, reward = np.ones((2, 1, 2)) / 2, np.zeros((2, 1))
    with pytest.raises(DataError, match="state 1"):
        FinitePOMDP.of(transition, [[1.0, 0.0], [0.5, 0.6]], reward, 2)
    with pytest.raises(DataError, match="emission has the shape"):
        FinitePOMDP.of(transition, np.ones((3, 1)), reward, 2)
    with pytest.raises(DataError, match="sums to"):
        FinitePOMDP.of(0.9 * transition, np.eye(2), reward, 2)
    with pytest.raises(UsageError, match="3 axes"):
        open_loop(np.zeros((1, 1, 1)))
