"""Demonstrations of linear worlds: imitation by features, and exploration around it."""

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.behavior_cloning import BehaviorCloning, trajectory_divergence
from headstart.finite.demo_regularized import temperature_for
from headstart.finite.drawing import draw_episodes
from headstart.finite.linear import random_linear_world
from headstart.finite.log_linear_cloning import LogLinearCloning
from headstart.finite.lsvi_ucb_ent import LSVIUCBEnt
from headstart.finite.planning import backward_induction, soft_backward_induction, soft_maximum, value_of

WORLD = random_linear_world(states=30, actions=3, dimension=3, horizon=3)
FEATURES = np.asarray(WORLD.features)
UNIFORM = np.full((3, 30, 3), 1 / 3)
EXPERT = soft_maximum(np.asarray(backward_induction(WORLD).action_values), UNIFORM, 0.05)[1]
"""Log-linear in the features, as the optimal action values are linear in them."""


def demonstrations(number: int):
    return draw_episodes(WORLD, EXPERT, number, np.random.default_rng(0))


def test_features_learn_from_fewer_demonstrations_than_counting():
    few, many = (LogLinearCloning(FEATURES).fit(demonstrations(number)) for number in (50, 2000))
    np.testing.assert_allclose(many.sum(-1), 1)
    assert many.min() > 0
    counted = BehaviorCloning().fit(demonstrations(50))
    few, many, counted = (trajectory_divergence(WORLD, EXPERT, clone) for clone in (few, many, counted))
    assert many < few / 2
    assert few < counted / 2


def test_exploring_around_a_linear_clone_certifies_a_good_policy():
    clone = LogLinearCloning(FEATURES).fit(demonstrations(400))
    divergence = trajectory_divergence(WORLD, EXPERT, clone)
    found = LSVIUCBEnt(FEATURES, epsilon=0.2).run(WORLD, clone, temperature_for(0.2, divergence))
    assert found.certified
    assert 0 < found.episodes < 20_000, found.episodes
    assert value_of(WORLD, found.policy) >= value_of(WORLD, EXPERT) - 0.2


def test_the_bounds_hold_the_regularised_values_and_close():
    learner, temperature = LSVIUCBEnt(FEATURES), 0.5
    best = soft_backward_induction(WORLD, UNIFORM, temperature)
    rewards = np.broadcast_to(np.asarray(WORLD.reward), (3, 30, 3))
    certificates = []
    for episodes in (0, 300, 30_000):
        counts = draw_episodes(WORLD, UNIFORM, episodes, np.random.default_rng(1))
        plan = learner.plan(WORLD, rewards, UNIFORM, temperature, counts)
        certificates.append(plan.certificate)
        cost = temperature * trajectory_divergence(WORLD, plan.policy, UNIFORM)
        loss = WORLD.initial @ best.values[0] - (value_of(WORLD, plan.policy) - cost)
        assert -1e-6 <= loss <= plan.certificate
    assert certificates[0] > 2
    assert certificates[2] < certificates[1] / 4


def test_what_does_not_fit_is_refused():
    other = draw_episodes(random_linear_world(states=5), np.full((10, 5, 5), 0.2), 1, np.random.default_rng(0))
    with pytest.raises(DataError, match=r"expected \[horizon, 30, 3\]"):
        LogLinearCloning(FEATURES).fit(other)
    with pytest.raises(UsageError, match="ridge"):
        LogLinearCloning(FEATURES, ridge=0)
    with pytest.raises(UsageError, match="temperature"):
        LSVIUCBEnt(FEATURES).run(WORLD, UNIFORM, 0.0)
    with pytest.raises(UsageError, match="the world has"):
        LSVIUCBEnt(FEATURES[:5]).run(WORLD, UNIFORM, 1.0)
    with pytest.raises(UsageError, match="dimension"):
        LSVIUCBEnt(FEATURES[0])
