"""Finite worlds as Gymnasium environments: checked by Gymnasium, and as often worth what they are exactly."""

from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from headstart.core.errors import UsageError
from headstart.finite.gymnasium_face import FiniteEnv, gymnasium_id
from headstart.finite.mdp import DiscountedMDP
from headstart.finite.planning import backward_induction
from headstart.finite.reveal_lock import RevealLock
from headstart.finite.worlds import random_world, river_swim


def episode(env, policy, seed=None) -> float:
    observation, _ = env.reset(seed=seed)
    total, ended = 0.0, False
    while not ended:
        observation, reward, ended, truncated, _ = env.step(policy(observation))
        assert not truncated
        total += reward
    return total


@pytest.mark.parametrize("show_step", [False, True])
@pytest.mark.parametrize("name", ["river-swim", "reveal-lock:length=2"])
def test_gymnasium_finds_nothing_to_complain_of(name, show_step):
    check_env(FiniteEnv(name, show_step), skip_render_check=True)


@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
def test_named_worlds_are_registered():
    env = gymnasium.make(gymnasium_id("reveal-lock-free"))
    assert env.observation_space.contains(env.reset(seed=0)[0])
    env = gymnasium.make("headstart/finite-river-swim-v0")
    assert env.action_space == gymnasium.spaces.Discrete(2)


def test_returns_are_those_of_the_planner():
    world = random_world(states=4, actions=3, horizon=5)
    best, env = backward_induction(world), FiniteEnv(world, show_step=True)
    env.reset(seed=0)
    returns = [episode(env, lambda seen: int(best.policy[seen].argmax())) for _ in range(2000)]
    assert np.mean(returns) == pytest.approx(best.values[0] @ world.initial, abs=4 * np.std(returns) / 2000**0.5)


def test_the_lock_opens_to_its_secret_and_equal_seeds_play_alike():
    lock = RevealLock.random(np.random.default_rng(0), length=2, epsilon=0.5)
    env = FiniteEnv(lock.world, show_step=True)
    assert all(episode(env, lambda seen: int(lock.solution[seen[0]]), seed) == 1 for seed in range(20))
    runs = [[env.reset(seed=3)[0], *(env.step(0)[0] for _ in range(4))] for _ in range(2)]
    assert runs[0] == runs[1]


def test_what_cannot_be_is_refused():
    endless = DiscountedMDP.of(np.full((2, 2, 2), 0.5), np.zeros((2, 2)), 0.9)
    with pytest.raises(UsageError, match="a DiscountedMDP; environments need episodes"):
        FiniteEnv(cast(Any, endless))
    with pytest.raises(UsageError, match="did you mean reveal-lock"):
        FiniteEnv("reveal-lok")
    with pytest.raises(UsageError, match="length of reveal-lock is 'x'"):
        FiniteEnv("reveal-lock:length=x")
    env = FiniteEnv(river_swim())
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    with pytest.raises(UsageError, match="action is 7; expected a whole number from 0 to 1"):
        env.step(7)
