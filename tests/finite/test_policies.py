"""Policies and features that users bring along: valued exactly, or refused by name."""

from typing import Any, cast

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite import coverage, planning, policies
from headstart.finite.demo_regularized import DemoRegularizedRL
from headstart.finite.features import checked_features
from headstart.finite.fitted_q import fitted_q
from headstart.finite.lsvi_ucb import LSVIUCB
from headstart.finite.lsvi_ucb_ent import LSVIUCBEnt
from headstart.finite.mdp import DiscountedMDP, FiniteMDP
from headstart.finite.simulation import simulate
from headstart.finite.ucbvi import UCBVI
from headstart.finite.world_files import read_world
from headstart.finite.worlds import random_world

WORLD = random_world(states=3, actions=2, horizon=4)
UNIFORM = np.full((4, 3, 2), 0.5)
ENDLESS = DiscountedMDP.of(np.asarray(WORLD.transition[0]), np.asarray(WORLD.reward[0]), 0.9)


def changed(row) -> np.ndarray:
    policy = UNIFORM.copy()
    policy[2, 1] = row
    return policy


def test_reports_are_those_of_the_planners():
    report = policies.evaluate(WORLD, UNIFORM.tolist())
    assert report.value == pytest.approx(planning.value_of(WORLD, UNIFORM))
    assert report.optimal == pytest.approx(planning.backward_induction(WORLD).values[0] @ WORLD.initial)
    np.testing.assert_allclose(report.occupancy.sum((1, 2)), 1)
    endless = policies.evaluate(ENDLESS, UNIFORM[0])
    assert endless.value < endless.optimal
    assert endless.occupancy.sum() == pytest.approx(1)
    assert policies.record(WORLD, UNIFORM, 7).actions.shape == (7, 4)


@pytest.mark.parametrize("row", [[0.7, 0.7], [-0.5, 1.5], [np.nan, 1.0], [0.0, 0.0]])
def test_rows_that_are_no_probabilities_are_named(row):
    data = np.full((4, 3, 2), 1 / 6)
    for use in (
        lambda policy: policies.evaluate(WORLD, policy),
        lambda policy: policies.record(WORLD, policy, 5),
        lambda policy: coverage.concentrability(WORLD, policy, data),
        lambda policy: coverage.clipped_concentrability(WORLD, policy, data, 2.0),
        lambda policy: DemoRegularizedRL(epsilon=0.5).run(WORLD, policy, 1.0),
        lambda policy: LSVIUCBEnt(np.eye(6).reshape(3, 2, 6)).run(WORLD, policy, 1.0),
    ):
        with pytest.raises(DataError, match=r"step 2, state 1 .* \(1 of 12 rows do not\): divide"):
            use(changed(row))


def test_other_shapes_are_refused():
    with pytest.raises(DataError, match=r"shape \[3, 2\]; expected \[4, 3, 2\]"):
        policies.evaluate(WORLD, UNIFORM[0])
    with pytest.raises(DataError, match=r"expected \[3, 2\], \[states, actions\]"):
        policies.evaluate(ENDLESS, UNIFORM)
    with pytest.raises(DataError, match="not an array of numbers"):
        policies.evaluate(WORLD, [["a"]])
    with pytest.raises(DataError, match="sums to 6 at step 0"):
        coverage.concentrability(WORLD, UNIFORM, np.ones((4, 3, 2)))
    with pytest.raises(UsageError, match="clip is -1"):
        coverage.clipped_concentrability(WORLD, UNIFORM, UNIFORM / 3, -1)


def test_features_are_refused_or_warned_of():
    holed = np.full((3, 2, 2), 0.1)
    holed[1, 1, 0] = np.nan
    data = policies.record(WORLD, UNIFORM, 5)
    for use in (
        checked_features,
        lambda features: LSVIUCB(features=features),
        lambda features: LSVIUCBEnt(features),
        lambda features: fitted_q(data, WORLD.spec, features),
    ):
        with pytest.raises(UsageError, match=r"state 1, action 1 is \[nan, 0.1\]; expected finite"):
            use(holed)
    with pytest.warns(UserWarning, match=r"norm 1.414; regret and confidence bounds .* elliptical potential"):
        checked_features(np.eye(6).reshape(3, 2, 6) * np.sqrt(2))
    with pytest.warns(UserWarning, match="span 1 of 2 dimensions, so every design is rank-deficient"):
        LSVIUCB(features=np.full((3, 2, 2), 0.1))
    with pytest.raises(UsageError, match="features are of 2 states"):
        fitted_q(data, WORLD.spec, np.ones((2, 2, 1)))


class Careless(UCBVI):
    """Says it does more than it can."""

    def policy(self, state):
        return 2 * super().policy(state)


def test_a_learner_whose_policy_is_none_is_refused():
    with pytest.raises(DataError, match=r"Careless\.policy at step 0, state 0 sums to 2"):
        simulate(Careless(), WORLD, 2, 1)
    with pytest.raises(UsageError, match="a DiscountedMDP; learners play episodes"):
        simulate(UCBVI(), cast(Any, ENDLESS), 2, 1)
    with pytest.raises(UsageError, match=r"episodes is 2.5"):
        simulate(UCBVI(), WORLD, cast(Any, 2.5), 1)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"horizon": 0}, "horizon is 0"),
        ({"horizon": np.nan}, "horizon is nan"),
        ({"horizon": 2.5}, "horizon is 2.5"),
        ({"discount": 1.0}, "discount is 1"),
        ({"discount": np.nan}, "discount is nan"),
        ({"horizon": 3, "reward": [[0, np.inf], [0, 0]]}, "state 0, action 1 is inf"),
        ({"horizon": 3, "reward": [[0, 0], [2, 0]]}, "state 1, action 0 is 2"),
        ({"horizon": 3, "transition": np.full((2, 2, 2), 0.4)}, "state 0, action 0 sums to 0.8"),
        ({"horizon": 3, "transition": [[[1.5, -0.5], [1, 0]], [[1, 0], [1, 0]]]}, "state 1 the probability -0.5"),
        ({"horizon": 3, "transition": np.full((3, 2, 2), 0.5)}, "3 states to 2"),
        ({"horizon": 3, "reward": np.zeros((3, 2))}, "2 states and 2 actions, reward 3 and 2"),
        ({"horizon": 3, "initial": [0.5, 0.2]}, "initial sums to 0.7"),
    ],
)
def test_files_that_hold_no_world_are_refused_with_their_name(arrays, words, tmp_path):
    path = tmp_path / "world.npz"
    np.savez(path, **({"transition": np.full((2, 2, 2), 0.5), "reward": np.zeros((2, 2))} | arrays))
    with pytest.raises((DataError, UsageError), match=r"world\.npz") as refused:
        read_world(path)
    assert words in str(refused.value)


def test_policies_are_read_from_files(tmp_path):
    np.save(tmp_path / "policy.npy", UNIFORM)
    np.savez(tmp_path / "solution.npz", policy=UNIFORM, values=UNIFORM)
    np.savez(tmp_path / "other.npz", values=UNIFORM)
    for name in ("policy.npy", "solution.npz"):
        np.testing.assert_array_equal(policies.read_policy(tmp_path / name, WORLD), UNIFORM)
    with pytest.raises(DataError, match="holds values; expected an array policy"):
        policies.read_policy(tmp_path / "other.npz", WORLD)
    with pytest.raises(DataError, match="cannot be read as a policy"):
        policies.read_policy(tmp_path / "missing.npy", WORLD)


def test_worlds_in_memory_name_the_wrong_entry():
    with pytest.raises(DataError, match="state 0, action 0 gives state 0 the probability nan"):
        FiniteMDP.of(np.full((2, 2, 2), np.nan), np.zeros((2, 2)), 3)
