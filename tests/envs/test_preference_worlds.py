"""Finite worlds of preferences: identities that hold to rounding, and what their builders promise."""

import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.envs.bit_strings import bit_strings
from headstart.envs.hundred_arms import hundred_arms
from headstart.envs.preference_bandits import (
    coverage_bandit,
    draw,
    linear_bandit,
    normalised,
    optimal_value,
    rare_best_bandit,
    tilted,
)
from headstart.envs.preference_game import cyclic_game


def test_the_optimum_has_the_greatest_objective_and_no_other_policy_more():
    world, generator = rare_best_bandit(0), np.random.default_rng(0)
    best = world.optimum(0.4)
    assert world.suboptimality(best, 0.4) == pytest.approx(0, abs=1e-10)
    others = normalised(best + generator.normal(0, 0.3, size=(50, *best.shape)))
    assert (world.suboptimality(others, 0.4) > 0).all()
    assert np.exp(best).max(-1).mean() > 0.8


def test_the_value_of_a_reward_is_what_its_policy_says_of_the_references_responses():
    """J*(r) - E_reference r = -beta E_reference log(policy / reference), whatever is added to r for each prompt."""
    world, beta = rare_best_bandit(1), 0.4
    rewards = np.random.default_rng(1).uniform(0, 6, size=world.rewards.shape)
    chances = np.exp(world.reference)
    for shift in (0.0, 2.5):
        policy = tilted(world.reference, rewards + shift, beta)
        left = optimal_value(world.reference, rewards + shift, beta) - (chances * (rewards + shift)).sum(-1).mean()
        right = -beta * (chances * (policy - world.reference)).sum(-1).mean()
        assert left == pytest.approx(right, abs=1e-10)
        assert policy == pytest.approx(tilted(world.reference, rewards, beta), abs=1e-10)


def test_pairs_hold_covered_responses_and_no_response_twice():
    world = coverage_bandit(3)
    pairs = world.record(2000, np.random.default_rng(0))
    assert world.covered[pairs.prompts, pairs.chosen].all()
    assert world.covered[pairs.prompts, pairs.rejected].all()
    assert (pairs.chosen != pairs.rejected).all()
    margin = world.rewards[pairs.prompts, pairs.chosen] - world.rewards[pairs.prompts, pairs.rejected]
    assert (margin > 0).mean() > 0.6
    everywhere = world.record(2000, np.random.default_rng(0), everywhere=True)
    assert not world.covered[everywhere.prompts, everywhere.chosen].all()


def test_the_same_seed_makes_the_same_world():
    for make in (coverage_bandit, rare_best_bandit, lambda seed: linear_bandit(seed)[0]):
        one, same, other = make(5), make(5), make(6)
        assert np.array_equal(one.rewards, same.rewards)
        assert not np.array_equal(one.rewards, other.rewards)


def test_draws_follow_log_probabilities():
    policy = np.log([[0.7, 0.2, 0.1]])
    drawn = draw(np.repeat(policy, 20_000, 0), np.random.default_rng(0))
    assert np.bincount(drawn) / 20_000 == pytest.approx(np.exp(policy[0]), abs=0.02)


def test_a_linear_world_has_linear_rewards():
    world, weights = linear_bandit(0)
    assert world.features is not None
    assert world.rewards[0] == pytest.approx(world.features[0] @ weights)
    assert np.linalg.norm(weights) == pytest.approx(3.0)


def test_a_rarity_that_is_no_probability_is_refused():
    with pytest.raises(UsageError, match=r"rarity is 1\.5"):
        rare_best_bandit(0, rarity=1.5)


def test_duality_gap_is_what_best_responses_gain_and_vanishes_at_the_equilibrium():
    game, tau = cyclic_game(0), 0.1
    policy = normalised(np.random.default_rng(0).normal(size=game.responses))
    gain = tilted(game.reference, game.win_rates(policy), tau)
    value = np.exp(gain) @ game.win_rates(policy) - tau * game.kl(gain) + tau * game.kl(policy)
    assert game.duality_gap(policy, tau) == pytest.approx(2 * (value - 0.5), abs=1e-10)
    for _ in range(2000):
        policy = game.mirror_step(policy, 0.5, tau)
    assert game.duality_gap(policy, tau) == pytest.approx(0, abs=1e-8)


def test_preferences_of_the_game_are_antisymmetric_and_go_in_a_circle():
    game = cyclic_game(0)
    assert game.preference + game.preference.T == pytest.approx(np.ones((9, 9)))
    strong = cyclic_game(0, cycle=30.0).preference
    assert all(strong[i, (i + 1) % 9] > 0.5 and strong[i, (i + 4) % 9] > 0.5 > strong[i, (i + 5) % 9] for i in range(9))


def test_the_hundred_arms_reference_is_heaped_away_from_the_peak():
    world = hundred_arms(0, peak=70)
    chances = np.exp(world.reference)
    assert chances.sum() == pytest.approx(1)
    assert 15 < (np.cumsum(chances) < 0.5).sum() < 25
    assert chances @ world.rewards < 0.1 < 0.3 < chances @ hundred_arms(0, peak=20).rewards


def test_sharpened_bits_are_the_power_of_the_model():
    world = bit_strings(0, 5)
    everything = (np.arange(32)[:, None] >> np.arange(5)) & 1
    powered = world.log_probability(everything) * (1 + 1 / 0.1)
    share = np.exp(powered - powered.max()) / np.exp(powered - powered.max()).sum()
    assert world.sharpened(0.1) == pytest.approx(share.max(), abs=1e-9)
    assert np.exp(world.log_probability(everything)).sum() == pytest.approx(1)
    assert world.coverage == pytest.approx(1 / np.exp(world.log_probability(everything)).max())
