import jax
import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.envs.functional import noisy_controller, rollout, uniform_policy
from headstart.envs.pendulum import Pendulum
from headstart.envs.point_maze import PointMaze
from headstart.evaluate.scores import (
    REFERENCE_SCORES,
    find_reference,
    normalized_score,
    reference,
    register_reference,
    returns_of_score,
)


@pytest.mark.parametrize("name", sorted(REFERENCE_SCORES))
def test_the_references_are_exactly_0_and_100(name):
    known = REFERENCE_SCORES[name]
    assert normalized_score(name, known.low) == 0.0
    assert normalized_score(name, known.high) == 100.0
    assert returns_of_score(name, 0.0) == known.low
    assert returns_of_score(name, 100.0) == pytest.approx(known.high, rel=1e-15)


def test_scores_and_returns_are_inverse_in_any_shape():
    returns = np.random.default_rng(0).normal(1000, 900, (3, 4))
    np.testing.assert_allclose(returns_of_score("hopper", normalized_score("hopper", returns)), returns, rtol=1e-12)


def test_scores_worked_out_by_hand():
    assert normalized_score("halfcheetah-medium-v2", 4770.33) == pytest.approx(100 * 5050.508953 / 12415.178953)
    assert normalized_score("antmaze-large-play-v2", 0.3) == 30.0
    assert normalized_score("kitchen-partial-v0", 2.0) == 50.0


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("hopper-medium-replay-v2", "hopper"),
        ("Hopper-v5", "hopper"),
        ("HalfCheetah-v4", "halfcheetah"),
        ("mujoco/walker2d/expert-v0", "walker2d"),
        ("D4RL/pen/human-v2", "pen"),
        ("AdroitHandDoor-v1", "door"),
        ("antmaze-medium-diverse-v2", "antmaze"),
        ("ant-expert-v2", "ant"),
        ("maze2d-large-dense-v1", "maze2d-large-dense-v1"),
        ("bullet-hopper-medium-v0", "bullet-hopper"),
        ("minigrid-fourrooms-random-v0", "minigrid-fourrooms"),
        ("point-maze-medium-undirected", "point-maze-medium"),
        ("mountain-car-continuous", "mountain-car-continuous"),
        ("Pendulum-v1", "pendulum-v1"),
        ("pendulum-medium-replay", "pendulum"),
    ],
)
def test_names_of_datasets_and_versions_find_their_family(name, family):
    assert find_reference(name) is REFERENCE_SCORES[family]


@pytest.mark.parametrize(
    "name",
    [
        "Humanoid-v5",
        "maze2d-umaze",  # which of its versions?
        "maze2d-umaze-v2",
        "hopper-banana-v2",
        "hoppers",
        "AdroitHandPenSparse-v1",  # another reward
        "D4RL/antmaze/umaze-v1",  # goes on after success
        "",
    ],
)
def test_no_reference_is_an_error_never_a_default(name):
    assert find_reference(name) is None
    with pytest.raises(UsageError, match="unknown reference"):
        normalized_score(name, 1.0)


def test_the_nearest_names_are_offered():
    with pytest.raises(UsageError, match="did you mean walker2d"):
        reference("walkerd2")


def test_registering_a_world(monkeypatch):
    monkeypatch.setattr("headstart.evaluate.scores.REFERENCE_SCORES", dict(REFERENCE_SCORES))
    register_reference("Plant-v1", -10.0, 30.0, "PID controller")
    register_reference("plant-v1", -10.0, 30.0, "PID controller")
    assert normalized_score("plant-V1", [-10.0, 10.0, 30.0]).tolist() == [0.0, 50.0, 100.0]
    with pytest.raises(UsageError, match="has a reference already"):
        register_reference("Plant-v1", -10.0, 31.0, "other")
    with pytest.raises(UsageError, match="low below high"):
        register_reference("other", 1.0, 1.0, "other")


@pytest.mark.parametrize("world", [PointMaze("umaze"), Pendulum()], ids=lambda world: world.name)
def test_our_references_are_what_random_policy_and_controller_reach(world):
    random = rollout(world, uniform_policy(world), jax.random.key(5), 1000).returns()
    scripted = rollout(world, noisy_controller(world), jax.random.key(6), 1000, from_state=True).returns()
    for returns, score in ((random, 0.0), (scripted, 100.0)):
        scores = normalized_score(world.name, np.asarray(returns))
        standard_error = scores.std() / np.sqrt(len(scores))
        assert scores.mean() == pytest.approx(score, abs=4.5 * standard_error + 0.05)
