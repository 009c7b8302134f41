"""Coverage coefficients, against worlds where they are known."""

import numpy as np
import pytest

from headstart.core.errors import DataError
from headstart.finite import coverage
from headstart.finite.mdp import DiscountedMDP
from headstart.finite.planning import backward_induction, discounted_occupancy, occupancy, value_iteration
from headstart.finite.worlds import combination_lock, random_world


def uniform(world):
    return np.full((world.horizon, world.states, world.actions), 1 / world.actions)


def test_random_data_miss_a_combination_lock_exponentially():
    world = combination_lock(horizon=3, actions=4)
    data = occupancy(world, uniform(world))
    assert coverage.single_policy_concentrability(world, data) == pytest.approx(4**3)
    assert coverage.coverability(world) == pytest.approx(2 * 4)


def test_a_policy_covers_itself_and_not_what_it_never_visits():
    world = random_world(states=5, actions=3, horizon=4)
    best = backward_induction(world).policy
    assert coverage.single_policy_concentrability(world, occupancy(world, best)) == pytest.approx(1)
    assert coverage.concentrability(world, uniform(world), occupancy(world, best)) == np.inf
    clipped = coverage.clipped_concentrability(world, uniform(world), occupancy(world, best), clip=7)
    assert clipped.shape == (4,)
    assert (clipped <= 7).all()
    assert clipped[0] > 1


def test_coverability_bounds_every_policy_under_the_best_data():
    world = random_world(states=4, actions=2, horizon=3, concentration=0.5)
    reached = coverage.reachability(world)
    data = np.repeat(reached[:, :, None], 2, axis=2)
    data /= data.sum((1, 2), keepdims=True)
    random = np.random.default_rng(0)
    ratios = [coverage.concentrability(world, np.eye(2)[random.integers(0, 2, (3, 4))], data) for _ in range(200)]
    assert max(ratios) == pytest.approx(coverage.coverability(world))


def test_discounted_worlds_have_coefficients_too():
    random = np.random.default_rng(0)
    world = DiscountedMDP.of(random.dirichlet(np.ones(3), (3, 2)), random.random((3, 2)), 0.8)
    best = value_iteration(world).policy
    mixed = discounted_occupancy(world, 0.5 * best + 0.25)
    visited = discounted_occupancy(world, best)
    expected = (visited[visited > 0] / mixed[visited > 0]).max()
    assert coverage.single_policy_concentrability(world, mixed) == pytest.approx(expected)


def test_data_of_another_shape_or_kind_are_refused():
    world = random_world(states=5, actions=3, horizon=4)
    with pytest.raises(DataError, match=r"shape \[5, 3\]; expected \[4, 5, 3\]"):
        coverage.concentrability(world, uniform(world), np.ones((5, 3)))
    with pytest.raises(DataError, match="negative or not finite"):
        coverage.concentrability(world, uniform(world), -uniform(world))
