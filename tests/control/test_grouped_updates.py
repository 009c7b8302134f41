"""Updates in groups are the updates that are made one call at a time, and so are the means that are logged."""

import jax
import numpy as np
import pytest

from headstart.control import programs
from headstart.control.grouped_updates import learn_in_groups
from headstart.control.preprocessing import Preprocessor
from headstart.control.td3_bc import TD3BC
from headstart.core.specs import Box, Spec
from headstart.data.experience import Experience
from headstart.data.replay import Replay

METHOD = TD3BC(batch_size=8, hidden=(8,))
SPEC = Spec(Box.uniform((3,), -np.inf, np.inf), Box.uniform((2,), -1.0, 1.0))
KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    columns = {
        "observations": generator.standard_normal((50, 3)).astype(np.float32),
        "actions": generator.uniform(-1, 1, (50, 2)).astype(np.float32),
        "rewards": generator.standard_normal(50).astype(np.float32),
        "next_observations": generator.standard_normal((50, 3)).astype(np.float32),
        "terminations": np.arange(50) % 10 == 9,
        "truncations": np.zeros(50, bool),
    }
    return Replay.from_experience(Experience(SPEC, columns), discount=METHOD.discount)


def fresh():
    return programs.initialise(METHOD, SPEC, jax.random.key(0))


def in_groups(state, data, step, groups, every):
    preprocessor = Preprocessor.identity(SPEC)
    numbers = map(np.int32, (step, groups, every))
    return learn_in_groups(METHOD, preprocessor, state, data, KEY, *numbers)


def assert_same(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def test_groups_learn_what_separate_calls_learn_and_log_their_means(data):
    state, means = fresh(), []
    for group in range(4):
        state, metrics = programs.learn_offline(
            METHOD, Preprocessor.identity(SPEC), state, data, KEY, np.int32(5 * group), 5
        )
        means.append(metrics)
    grouped, columns = in_groups(fresh(), data, 0, 4, 5)
    assert_same(grouped, state)
    assert columns.keys() == means[0].keys()
    for name, column in columns.items():
        np.testing.assert_allclose(column[:4], [metrics[name] for metrics in means], rtol=1e-5)
        assert not np.any(column[4:])


def test_how_groups_are_divided_among_calls_changes_nothing(data):
    whole, columns = in_groups(fresh(), data, 0, 4, 5)
    state, first = in_groups(fresh(), data, 0, 1, 5)
    state, rest = in_groups(state, data, 5, 3, 5)
    assert_same(state, whole)
    for name, column in columns.items():
        np.testing.assert_array_equal(column[:4], [*first[name][:1], *rest[name][:3]])
    finer, _ = in_groups(fresh(), data, 0, 20, 1)
    assert_same(finer, whole)
