"""Rewards learned from preferences between episodes."""

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.behavior_cloning import BehaviorCloning
from headstart.finite.demo_regularized import DemoRegularizedRL
from headstart.finite.drawing import draw_episodes
from headstart.finite.episodes import collect
from headstart.finite.noisy_choices import noisy_choices
from headstart.finite.planning import backward_induction, value_of
from headstart.finite.preference_reward import PreferenceReward

WORLD = noisy_choices(1)


def pairs(number, policy=None):
    policy = np.full((4, 6, 4), 0.25) if policy is None else policy
    both = collect(WORLD, policy, 2 * number, seed=2)
    return both.select(slice(number)), both.select(slice(number, None))


def test_with_many_preferences_returns_are_told_apart_as_the_true_rewards_do():
    model = PreferenceReward()
    first, second = pairs(20_000)
    rewards = model.fit(first, second, model.prefer(first, second, np.random.default_rng(0)), WORLD.spec)
    fresh = collect(WORLD, np.full((4, 6, 4), 0.25), 500, seed=9)
    believed = rewards[fresh.observations, fresh.actions].sum(1)
    assert np.corrcoef(believed, fresh.rewards.sum(1))[0, 1] > 0.99


def test_without_preferences_all_rewards_are_zero():
    first, second = pairs(0)
    np.testing.assert_array_equal(PreferenceReward().fit(first, second, np.zeros(0, bool), WORLD.spec), 0)


def test_exploration_with_the_learned_reward_beats_the_clone():
    clone = BehaviorCloning().fit(draw_episodes(WORLD, backward_induction(WORLD).policy, 30, np.random.default_rng(0)))
    model, (first, second) = PreferenceReward(), pairs(3000, clone)
    rewards = model.fit(first, second, model.prefer(first, second, np.random.default_rng(0)), WORLD.spec)
    told = np.tile(np.clip(rewards - rewards.min(), 0, 1), (4, 1, 1))
    found = DemoRegularizedRL(epsilon=0.4).run(WORLD, clone, 0.3, rewards=told)
    assert found.certified
    assert value_of(WORLD, found.policy) > value_of(WORLD, clone)


def test_what_does_not_match_is_refused():
    first, second = pairs(3)
    with pytest.raises(DataError, match="give pairs"):
        PreferenceReward().fit(first, second, np.zeros(2, bool), WORLD.spec)
    with pytest.raises(UsageError, match="scale is 0"):
        PreferenceReward(scale=0)
