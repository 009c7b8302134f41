"""Functional worlds keep Gymnasium's contract, and do there what they do in compiled loops."""

import warnings

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from headstart.core.errors import UsageError
from headstart.envs.functional import noisy_controller
from headstart.envs.gymnasium_face import FunctionalEnv, gymnasium_id
from headstart.envs.pendulum import Pendulum
from headstart.envs.registry import FUNCTIONAL_WORLDS, functional


@pytest.mark.parametrize("name", FUNCTIONAL_WORLDS.names())
def test_gymnasium_accepts_it(name):
    environment = gymnasium.make(gymnasium_id(name)).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*not have a render.*|.*different from the unwrapped.*")
        check_env(environment, skip_render_check=True)


@pytest.mark.parametrize("name", ["pendulum", "lava-gap"])
def test_going_back_to_a_state_repeats_what_followed(name):
    environment = FunctionalEnv(name)
    environment.reset(seed=0)
    environment.action_space.seed(0)
    actions = [environment.action_space.sample() for _ in range(12)]
    for action in actions[:4]:
        environment.step(action)
    state = environment.get_state()
    expected = [environment.step(action) for action in actions[4:]]
    other = FunctionalEnv(functional(name))
    other.set_state(state)
    for action, (observation, *rest) in zip(actions[4:], expected, strict=True):
        found, *found_rest = other.step(action)
        assert np.array_equal(found, observation)
        assert found_rest == rest


def test_it_truncates_at_the_horizon_and_follows_the_functional_world():
    world = Pendulum()
    environment = FunctionalEnv(world)
    observation, _ = environment.reset(seed=3)
    state = environment._state
    controller, step, observe = jax.jit(world.controller), jax.jit(world.step), jax.jit(world.observe)
    for count in range(1, world.horizon + 1):
        action = np.asarray(controller(state))
        state, reward, _ = step(state, action)
        observation, found, terminated, truncated, _ = environment.step(action)
        assert truncated == (count == world.horizon)
        assert not terminated
    np.testing.assert_allclose(observation, observe(state), rtol=1e-5)
    assert found == pytest.approx(float(reward), rel=1e-4)
    assert noisy_controller(world) is noisy_controller(Pendulum())


def test_misuse_is_explained():
    with pytest.raises(gymnasium.error.ResetNeeded):
        FunctionalEnv("pendulum").step(np.zeros(1))
    with pytest.raises(UsageError, match="made already"):
        FunctionalEnv(Pendulum(), gravity=3.0)
    with pytest.raises(UsageError, match="did you mean pendulum"):
        FunctionalEnv("pendulums-of-doom-xyz")
