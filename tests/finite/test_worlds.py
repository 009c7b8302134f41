"""Named worlds, their references, and worlds with features."""

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite import linear
from headstart.finite.mdp import FiniteMDP, save_world
from headstart.finite.planning import backward_induction, value_of
from headstart.finite.registry import LEARNERS, WORLDS, make_learner, make_world
from headstart.finite.worlds import combination_lock, deep_sea, random_world, river_swim


@pytest.mark.parametrize("name", WORLDS.names())
def test_every_world_can_be_made_and_is_not_trivial(name):
    world = make_world(name)
    if isinstance(world, FiniteMDP):
        uniform = np.full((world.horizon, world.states, world.actions), 1 / world.actions)
        assert value_of(world, uniform) < world.initial @ backward_induction(world).values[0] <= world.horizon


def test_worlds_pay_what_they_are_known_to_pay():
    assert backward_induction(combination_lock(decoy=0.3)).values[0, 0] == pytest.approx(1)
    assert backward_induction(deep_sea(size=8)).values[0, 0] == pytest.approx(1)
    swim = river_swim()
    np.testing.assert_allclose(swim.transition[0, 2, 1, 1:4], [0.05, 0.6, 0.35])
    np.testing.assert_array_equal(backward_induction(swim).policy[0].argmax(-1), 1)


def test_references_name_a_world_its_options_or_a_file(tmp_path):
    world = make_world("random:states=3,actions=2,horizon=4,concentration=0.5,reward_noise=none")
    np.testing.assert_array_equal(world.transition, random_world(3, 2, 4, 0, 0.5).transition)
    save_world(tmp_path / "mine.npz", world)
    np.testing.assert_array_equal(make_world(str(tmp_path / "mine.npz")).reward, world.reward)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("river-swm", "did you mean river-swim"),
        ("river-swim:stats=3", "did you mean states"),
        ("river-swim:states=many", "expected a whole number"),
        ("river-swim:states", "name:key=value"),
        ("river-swim:states=1", "at least 2"),
        ("two-rooms:gap=0.9", "leave"),
        ("random-linear:dimension=0", "dimension is 0"),
    ],
)
def test_wrong_references_are_answered_with_what_to_do(reference, message):
    with pytest.raises(UsageError, match=message):
        make_world(reference)


def test_learners_are_made_by_name():
    assert make_learner("ucbvi", scale=0.5).scale == 0.5
    with pytest.raises(UsageError, match="did you mean scale"):
        make_learner("ucbvi", scal=0.5)
    assert {entry.name for entry in LEARNERS} >= {"ucbvi", "ucb-q", "lsvi-ucb", "psrl", "npg", "fitted-q"}


def test_linear_worlds_are_linear_in_their_features():
    world = linear.random_linear_world(states=8, actions=3, dimension=4)
    fit = linear.misfit(world, world.features)
    assert fit.transition < 1e-12
    assert fit.reward < 1e-12
    assert fit.rank == 4
    assert linear.misfit(random_world(8, 3), world.features).transition > 0.1
    assert linear.misfit(random_world(8, 3), linear.one_hot_features(8, 3)).transition < 1e-12


def test_features_that_are_too_long_or_give_no_world_are_noticed():
    world = linear.random_linear_world(states=4, actions=2, dimension=3)
    features, measure = np.asarray(world.features), np.full((3, 4), 0.25)
    with pytest.warns(UserWarning, match="norm 1.7"):
        linear.LinearMDP.from_features(np.ones((4, 2, 3)), measure / 3, np.zeros(3), 5)
    with pytest.raises(DataError, match="do not fit"):
        linear.LinearMDP.from_features(features, measure, np.zeros(2), 5)
    with pytest.raises(DataError, match="sums to 2"):
        linear.LinearMDP.from_features(features, 2 * measure, np.zeros(3), 5)
