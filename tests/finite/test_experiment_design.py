"""Optimal design: against brute force, its limits, and how it answers to more data."""

import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.finite.experiment_design import concentrability, min_online_episodes, propagate, uncertainty, visit
from headstart.finite.planning import greedy, occupancy, value_of
from headstart.finite.rare_rooms import door_policies, rare_rooms
from headstart.finite.worlds import random_world

WORLD = random_world(states=4, actions=2, horizon=3, seed=1)
RANDOM = np.random.default_rng(0)
POLICIES = greedy(RANDOM.random((5, 3, 4, 2)))
TRANSITION = np.broadcast_to(WORLD.transition, (3, 4, 2, 4))


def test_occupancies_of_many_policies_are_those_of_each():
    together = propagate(TRANSITION, WORLD.initial, POLICIES)
    assert np.allclose(together, np.stack([occupancy(WORLD, policy) for policy in POLICIES]))


def test_visiting_maximises_the_expected_gain_over_all_deterministic_policies():
    gain = RANDOM.random((4, 2))
    actions = visit(TRANSITION[:1], gain)
    best = max(
        (
            propagate(
                TRANSITION, WORLD.initial, np.eye(2)[np.indices([2] * 8).reshape(8, -1).T][:, None].reshape(-1, 2, 4, 2)
            )[:, 1]
            * gain
        ).sum((1, 2))
    )
    policy = np.eye(2)[actions]
    assert (propagate(TRANSITION, WORLD.initial, policy[None])[0, 1] * gain).sum() == pytest.approx(best)


def test_uncertainty_is_infinite_only_where_a_policy_goes_and_nobody_was():
    features = np.array([[[0.5, 0.5]], [[1.0, 0.0]]])
    assert uncertainty(features, np.array([[4.0, 0.0]])).tolist() == [np.inf, 0.25]


def test_bandits_optimal_design_is_known_in_closed_form():
    world = random_world(states=1, actions=3, horizon=1, seed=0)
    arms = np.eye(3).reshape(3, 1, 1, 3)
    gaps = world.reward.max() - np.array([value_of(world, arm) for arm in arms])
    needed = np.maximum(gaps, max(0.01, np.sort(gaps)[1]))
    nothing = np.zeros((1, 1, 3))
    assert concentrability(world, arms, nothing, 0.01, 100)[0] == pytest.approx((needed**-2).sum() / 100, rel=0.02)
    assert min_online_episodes(world, arms, nothing, 0.01, 4).episodes == pytest.approx(
        4 * (needed**-2).sum(), rel=0.03
    )


def test_more_data_never_need_more_episodes_and_endless_data_need_none():
    world, policies = rare_rooms(3), door_policies(rare_rooms(3))
    levels = [np.full((2, 5, 3), float(visits)) for visits in (0, 50, 200, 1e9)]
    needs = [min_online_episodes(world, policies, level, 0.1, 4).episodes for level in levels]
    assert needs[0] > needs[1] > needs[2] > needs[3] == 0


def test_refusals():
    with pytest.raises(UsageError, match="offline visits"):
        min_online_episodes(WORLD, POLICIES, np.zeros((2, 4, 2)), 0.1, 4)
    for arguments in ((0.0, 4.0), (0.1, 0.0)):
        with pytest.raises(UsageError, match="positive"):
            min_online_episodes(WORLD, POLICIES, np.zeros((3, 4, 2)), *arguments)
