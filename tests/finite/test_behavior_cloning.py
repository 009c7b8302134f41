"""Imitation by counting and its divergence from the demonstrator."""

import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.finite.behavior_cloning import BehaviorCloning, held_out_divergence, trajectory_divergence
from headstart.finite.drawing import draw_episodes
from headstart.finite.episodes import collect, count
from headstart.finite.noisy_choices import noisy_choices
from headstart.finite.planning import backward_induction

WORLD = noisy_choices(0)
EXPERT = backward_induction(WORLD).policy


def test_every_action_stays_possible_unless_asked_otherwise():
    counts = count(collect(WORLD, EXPERT, 30), WORLD.spec)
    clone = BehaviorCloning().fit(counts)
    np.testing.assert_allclose(clone.sum(-1), 1)
    assert clone.min() >= 1 / (30 + WORLD.actions)
    bare = BehaviorCloning(smoothing=0).fit(counts)
    assert set(np.unique(bare)) == {0, 1 / WORLD.actions, 1}
    with pytest.raises(UsageError, match="smoothing is -1"):
        BehaviorCloning(smoothing=-1)


def test_divergence_is_that_of_whole_episodes():
    generator = np.random.default_rng(0)
    ours, other = generator.dirichlet(np.ones(WORLD.actions), (2, WORLD.horizon, WORLD.states))
    data, steps = collect(WORLD, ours, 100_000), np.arange(WORLD.horizon)
    taken = steps, data.observations, data.actions
    sampled = (np.log(ours[taken]) - np.log(other[taken])).sum(1).mean()
    assert trajectory_divergence(WORLD, ours, other) == pytest.approx(sampled, rel=0.03)
    assert trajectory_divergence(WORLD, ours, ours) == 0
    assert trajectory_divergence(WORLD, ours, EXPERT) == np.inf


def test_held_out_demonstrations_estimate_it():
    clone = BehaviorCloning().fit(draw_episodes(WORLD, EXPERT, 100, np.random.default_rng(0)))
    estimate = held_out_divergence(collect(WORLD, EXPERT, 20_000, seed=5), clone)
    assert estimate == pytest.approx(trajectory_divergence(WORLD, EXPERT, clone), rel=0.05)
    with pytest.raises(UsageError, match="held out"):
        held_out_divergence(collect(WORLD, EXPERT, 0), clone)
