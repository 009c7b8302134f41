"""Counts drawn at once have the distribution of counts of episodes played one by one."""

import numpy as np

from headstart.finite.drawing import draw_episodes, draw_pairs
from headstart.finite.mdp import DiscountedMDP
from headstart.finite.planning import occupancy
from headstart.finite.worlds import random_world


def test_episodes_visit_as_the_occupancy_says():
    world = random_world(states=4, actions=3, horizon=5, concentration=0.5)
    policy = np.random.default_rng(1).dirichlet(np.ones(3), (5, 4))
    episodes = 200_000
    counts = draw_episodes(world, policy, episodes, np.random.default_rng(0))
    assert counts.visits.shape == (5, 4, 3)
    np.testing.assert_array_equal(counts.visits.sum((1, 2)), episodes)
    np.testing.assert_allclose(counts.visits / episodes, occupancy(world, policy), atol=5e-3)
    np.testing.assert_array_equal(counts.transitions[:-1].sum((1, 2)), counts.visits[1:].sum(-1))
    often = counts.visits > 5000
    np.testing.assert_allclose(counts.mean_reward[often], np.tile(world.reward, (5, 1, 1))[often], atol=0.03)


def test_pairs_follow_their_distribution():
    generator = np.random.default_rng(0)
    transition, reward = generator.dirichlet(np.ones(3), (3, 2)), generator.random((3, 2))
    world = DiscountedMDP.of(transition, reward, 0.9)
    wanted = generator.dirichlet(np.ones(6)).reshape(3, 2)
    counts = draw_pairs(world, wanted, 100_000, generator)
    np.testing.assert_allclose(counts.visits / 100_000, wanted, atol=5e-3)
    np.testing.assert_allclose(counts.mean_reward, reward)
    np.testing.assert_allclose(counts.frequencies, transition, atol=0.03)
