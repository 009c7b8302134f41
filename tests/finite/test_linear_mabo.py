"""MABO with linear functions: its fixed point in tables, few features in large worlds, records that it goes on from."""

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.fitted_q import fitted_q
from headstart.finite.hybrid import H2O, nothing
from headstart.finite.linear import random_linear_world
from headstart.finite.linear_mabo import LinearMABO
from headstart.finite.planning import backward_induction, value_of
from headstart.finite.policies import record
from headstart.finite.worlds import random_world


def uniform(world):
    return np.full((world.horizon, world.states, world.actions), 1 / world.actions)


def test_in_tables_it_is_the_fixed_point_of_fitted_q():
    world = random_world(states=3, actions=2, horizon=4)
    data = record(world, uniform(world), 500)
    found, expected = LinearMABO(world.spec).solve(data), fitted_q(data, world.spec)
    assert found.objective < 1e-6
    np.testing.assert_array_equal(found.policy[1:], expected.policy[1:])
    np.testing.assert_allclose(found.action_values[0, 0], expected.action_values[0, 0], atol=1e-4)


def test_few_features_need_fewer_records_than_tables():
    losses = {"linear": [], "table": []}
    for seed in range(6):
        world = random_linear_world(states=15, actions=4, dimension=3, horizon=4, seed=seed)
        data = record(world, uniform(world), 80, seed)
        best = value_of(world, backward_induction(world).policy)
        learners = {"linear": LinearMABO(world.spec, world.features), "table": LinearMABO(world.spec)}
        for name, learner in learners.items():
            losses[name].append(best - value_of(world, learner.fit(data)))
    assert np.mean(losses["linear"]) < 0.5 * np.mean(losses["table"])


def test_weights_of_the_values_features_suffice_where_the_world_is_linear():
    world = random_linear_world(states=10, actions=3, dimension=3, horizon=3)
    data = record(world, uniform(world), 3000)
    found = LinearMABO(world.spec, world.features, world.features).solve(data)
    assert found.objective < 1e-3
    assert value_of(world, found.policy) > 0.95 * value_of(world, backward_induction(world).policy)


def test_as_the_base_of_h2o_it_learns_from_records_and_its_own():
    world = random_linear_world(states=8, actions=3, dimension=3, horizon=3)
    expert = backward_induction(world).policy
    recorded = record(world, 0.8 * expert + 0.2 * uniform(world), 60)
    learner = H2O(LinearMABO(world.spec, world.features), exploration=0.1)
    played = learner.run(world, 60, recorded)
    last = [value_of(world, policy) for policy in played.policies[-10:]]
    assert np.mean(last) > 0.85 * value_of(world, expert)
    np.testing.assert_allclose(LinearMABO(world.spec).fit(nothing(3)), 1 / 3)


def test_what_cannot_be_is_refused():
    world = random_world(states=3, actions=2, horizon=4)
    with pytest.raises(UsageError, match="features are of 2 states"):
        LinearMABO(world.spec, np.ones((2, 2, 1)))
    with pytest.raises(UsageError, match="expected finite numbers"):
        LinearMABO(world.spec, None, np.full((3, 2, 2), np.nan))
    with pytest.raises(UsageError, match="ridge is 0"):
        LinearMABO(world.spec, ridge=0)
    with pytest.raises(DataError, match="horizon"):
        LinearMABO(world.spec).fit(nothing(3)._replace(observations=np.zeros((1, 3), int)))
