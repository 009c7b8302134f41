"""Certified policies: the widths, the search, its certificates, with and without demonstrations."""

import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.finite.behavior_cloning import BehaviorCloning, trajectory_divergence
from headstart.finite.bpi_ucbvi import BPIUCBVI
from headstart.finite.demo_regularized import DemoRegularizedRL, temperature_for
from headstart.finite.drawing import draw_episodes
from headstart.finite.identification import mean_rewards
from headstart.finite.noisy_choices import noisy_choices
from headstart.finite.planning import backward_induction, soft_backward_induction, value_of

WORLD = noisy_choices(3)
OPTIMUM = backward_induction(WORLD)
UNIFORM = np.full(OPTIMUM.policy.shape, 1 / WORLD.actions)


def clone(demonstrations):
    seen = draw_episodes(WORLD, OPTIMUM.policy, demonstrations, np.random.default_rng(0))
    return BehaviorCloning().fit(seen)


def plentiful():
    return draw_episodes(WORLD, UNIFORM, 10**11, np.random.default_rng(0))


def plan(learner, prior, temperature):
    return learner.plan(WORLD, mean_rewards(WORLD), prior, temperature, plentiful())


def test_without_demonstrations_the_certificate_is_true():
    found = BPIUCBVI(epsilon=0.2).run(WORLD, seed=1)
    assert found.certified
    assert found.certificate <= 0.2
    assert found.counts.visits[0].sum() == found.episodes
    assert value_of(WORLD, OPTIMUM.policy) - value_of(WORLD, found.policy) <= 0.2


def test_certificate_bounds_the_regularised_gap():
    prior, learner = clone(50), DemoRegularizedRL()
    for episodes in (300, 3000, 30000):
        counts = draw_episodes(WORLD, UNIFORM, episodes, np.random.default_rng(episodes))
        now = learner.plan(WORLD, mean_rewards(WORLD), prior, 0.3, counts)
        best = float(WORLD.initial @ soft_backward_induction(WORLD, prior, 0.3).values[0])
        reached = value_of(WORLD, now.policy) - 0.3 * trajectory_divergence(WORLD, now.policy, prior)
        assert -1e-9 <= best - reached <= now.certificate


def test_more_demonstrations_take_fewer_episodes_and_the_policy_is_as_good_as_certified():
    episodes = []
    for number in (400, 6400):
        prior = clone(number)
        temperature = temperature_for(0.2, trajectory_divergence(WORLD, OPTIMUM.policy, prior))
        found = DemoRegularizedRL(epsilon=0.2).run(WORLD, prior, temperature)
        assert value_of(WORLD, OPTIMUM.policy) - value_of(WORLD, found.policy) <= 0.2
        episodes.append(found.episodes)
    assert episodes[1] < 0.7 * episodes[0]


def test_when_leaving_is_dear_the_prior_is_returned():
    prior = clone(20)
    np.testing.assert_allclose(plan(DemoRegularizedRL(), prior, 1e7).policy, prior, atol=1e-5)


def test_when_leaving_is_cheap_planning_is_optimistic_value_iteration():
    ours = plan(DemoRegularizedRL(), UNIFORM, 1e-4)
    np.testing.assert_allclose(value_of(WORLD, ours.policy), value_of(WORLD, OPTIMUM.policy), atol=1e-6)


def test_exploration_deviates_at_one_step_at_a_time():
    ours = plan(DemoRegularizedRL(), UNIFORM, 1.0)
    assert len(ours.explore) == 1 + WORLD.horizon
    for step, policy in enumerate(ours.explore[1:]):
        same = [np.array_equal(policy[other], ours.policy[other]) for other in range(WORLD.horizon)]
        assert same == [other != step for other in range(WORLD.horizon)]
    assert len(plan(DemoRegularizedRL(deviate=False), UNIFORM, 1.0).explore) == 1


def test_running_out_of_episodes_is_said():
    found = BPIUCBVI(epsilon=1e-3, most_episodes=120).run(WORLD)
    assert not found.certified
    assert found.episodes == 120


def test_impossible_searches_are_refused():
    with pytest.raises(UsageError, match="divergence is 0"):
        temperature_for(0.1, 0.0)
    with pytest.raises(UsageError, match="temperature is 0"):
        DemoRegularizedRL().run(WORLD, UNIFORM, 0.0)
    with pytest.raises(UsageError, match="accuracy"):
        BPIUCBVI(epsilon=0.0).run(WORLD)
