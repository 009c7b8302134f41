"""Learning from data alone: where a learner stands does not depend on how it got there, or on spare room."""

import jax
import numpy as np
import pytest

from headstart.control.bc import BC
from headstart.core.errors import DivergenceError
from headstart.envs.mountain_car import MountainCar
from headstart.papers.offline import OfflineLearner, record_dataset

METHOD = BC(hidden=(8,), batch_size=16)


@pytest.fixture(scope="module")
def data():
    return record_dataset("mountain-car-expert", seed=3, transitions=500)


def parameters(learner):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(learner.state)]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(parameters(a), parameters(b), strict=True))


def test_calls_capacity_and_seeds(data):
    whole = OfflineLearner(METHOD, data, 0, capacity=800).learn(6).learn(6)
    assert same(OfflineLearner(METHOD, data, 0, capacity=500).learn(12), whole)
    assert not same(OfflineLearner(METHOD, data, 1, capacity=500).learn(12), whole)
    assert whole.updates == 12


def test_evaluations_of_one_seed_start_alike(data):
    fresh, learned = OfflineLearner(METHOD, data, 0), OfflineLearner(METHOD, data, 0).learn(12)
    world = MountainCar()
    assert np.array_equal(fresh.evaluate(world, 4).returns, fresh.evaluate(world, 4).returns)
    assert learned.evaluate(world, 4).returns.shape == (4,)


def test_recorded_datasets_are_what_was_asked_for(data):
    again = record_dataset("mountain-car-expert", seed=3, transitions=500)
    assert len(data) == 500
    assert data.digest() == again.digest() != record_dataset("mountain-car-expert", seed=4, transitions=500).digest()


def test_divergence_is_told(data):
    learner = OfflineLearner(BC(hidden=(8,), batch_size=16, learning_rate=1e38), data, 0, capacity=500)
    with pytest.raises(DivergenceError, match="bc diverged"):
        learner.learn(12)
