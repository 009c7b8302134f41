"""The lock: what its facts say, opening it by coincidences, and what is refused."""

import itertools

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.collision_explore import CollisionExplore, coincidences, identification_rate, reveals_needed
from headstart.finite.collision_regret import FreeElimination, commit_regret, free_scores
from headstart.finite.omle import OMLE
from headstart.finite.pomdp import BeliefPlan, FinitePOMDP, open_loop, play
from headstart.finite.reveal_lock import RevealLock
from headstart.finite.revealing import revealing_constant


def lock(seed=0, **options):
    options = {"leaves": 3, "actions": 2, "length": 3, "pairs": 2, "sigma": 0.6, "epsilon": 0.3} | options
    return RevealLock.random(np.random.default_rng(seed), **options)


def value(lock, actions):
    """Exact expected reward of fixed actions."""
    world, belief, total = lock.world, lock.world.initial, 0.0
    for step, action in enumerate([*actions, 0]):
        total += belief @ world.reward[step, :, action]
        belief = belief @ world.transition[step, :, action]
    return total


def test_only_the_whole_secret_is_worth_more_than_a_half_and_revealing_is_worth_nothing():
    one = lock()
    for actions in itertools.product(range(3), range(2), *[range(2)] * 3):
        right = actions == tuple(one.solution[:-1])
        assert value(one, actions) == pytest.approx(0.8 if right else 0.5)
    assert value(one, [0, 0, one.reveal, 0, 0]) == 0.0
    assert value(one, [0, 0, 0, 0, one.reveal]) == 0.0
    assert BeliefPlan(one.world).value == pytest.approx(one.optimal_value)


def test_reveals_are_uniform_but_after_the_right_prefix():
    one = lock()
    right, wrong = one.solution[:3], [one.leaf, 1 - one.action, one.password[0]]
    for prefix, tipped in ((right, True), (wrong, False), (right[:2], True), ([*right[:2], 1 - right[2]], False)):
        actions = [*prefix, one.reveal, *[0] * (5 - len(prefix))]
        played = play(one.world, open_loop(actions), 20_000, np.random.default_rng(1))
        seen = np.bincount(played.observations[:, len(prefix) + 1] - one.first_symbol, minlength=one.symbols)
        assert np.abs(seen / 20_000 - one.revealed(tipped)).max() < 0.015


def test_revealing_constants_are_sigma_or_nothing():
    assert revealing_constant(lock().world, 2) == pytest.approx(0.6)
    assert revealing_constant(lock().world, 1) == 0.0
    assert revealing_constant(lock(access="free").world, 1) == pytest.approx(0.6)
    assert revealing_constant(lock(access="none").world, 1) == 0.0
    assert revealing_constant(lock(access="none").world, 2) == 0.0


def test_limiting_cases():
    assert np.ptp([value(lock(epsilon=0.0), actions) for actions in itertools.product([0, 1], repeat=5)]) == 0
    assert BeliefPlan(lock(length=0).world).value == pytest.approx(0.8)
    random = np.random.default_rng(0)
    chance = identification_rate(50, 4, lock(sigma=0.0), 2000, random)
    assert chance == pytest.approx(0.25, abs=0.04)


def test_coincidences_are_unbiased_for_the_sum_of_squares():
    one, random = lock(pairs=4, sigma=1.0, epsilon=0.5), np.random.default_rng(0)
    for tipped in (True, False):
        drawn = coincidences(random.multinomial(30, one.revealed(tipped), 20_000))
        assert drawn.mean() == pytest.approx((one.revealed(tipped) ** 2).sum(), rel=0.01)


def test_coincidences_open_the_lock():
    opened = []
    for seed in range(10):
        one = lock(seed, leaves=4, length=6, pairs=8, sigma=0.9, epsilon=0.4)
        found = CollisionExplore(episodes=120).run(one, np.random.default_rng(seed))
        assert found.episodes == 120 * (8 + 12)
        opened.append(found.opens(one))
    assert np.mean(opened) >= 0.8


def test_weaker_signals_need_more_reveals():
    random = np.random.default_rng(0)
    needed = [reveals_needed(4, lock(pairs=8, sigma=sigma, epsilon=0.5), 0.9, 200, random) for sigma in (0.8, 0.4)]
    assert 2.5 * needed[0] < needed[1] < 6.5 * needed[0]
    with pytest.raises(UsageError, match="reveals something"):
        reveals_needed(4, lock(sigma=0.0), 0.9, 200, random)
    with pytest.raises(UsageError, match="above chance"):
        reveals_needed(4, lock(), 0.25, 200, random)


def test_regret_by_hand():
    one = lock(epsilon=0.25)
    assert commit_regret(100, 5, 4, one, 0.75) == pytest.approx(20 * 0.75 + 80 * 0.25 * 0.25)
    never = np.zeros((3, 1, 2))  # two candidates, always alike: both are played to the horizon
    assert FreeElimination().regret(10, never, one) == pytest.approx(0.25 * 5)
    clear = np.tile([[[1.0, 0.0]]], (3, 1, 1))  # the wrong one falls behind in the first round
    assert FreeElimination(threshold=0.5).regret(1000, clear, one) == pytest.approx(0.25 * 2)
    assert free_scores(4, 3, one, 7, np.random.default_rng(0)).shape == (4, 7, 3)


def small_locks():
    secrets = itertools.product((0, 1), (0, 1), itertools.product((0, 1), repeat=2))
    return [RevealLock(*secret, (1, -1, -1, 1), leaves=2, actions=2) for secret in secrets]


def test_omle_finds_its_world_among_others():
    locks = small_locks()
    models = [other.world for other in locks]
    learned = OMLE(window=2, batch=25).run(locks[5].world, models, 1500, seed=0)
    assert learned.model == 5
    assert learned.policy.value_in(locks[5].world) == pytest.approx(0.9)
    committed = OMLE(window=2, batch=25, mode="explore_then_commit", exploration=1000)
    assert committed.run(locks[5].world, models, 1500, seed=0).returns[1000:].mean() > 0.8


def test_omle_says_what_no_model_allows():
    locks = small_locks()
    one = locks[0].world
    mirrored = FinitePOMDP(one.transition, one.emission[..., ::-1], one.reward, one.initial)
    with pytest.raises(DataError, match="step 0: observation"):
        OMLE().run(mirrored, [one], 5)
    with pytest.raises(UsageError, match="no models"):
        OMLE().run(locks[0].world, [], 5)
    with pytest.raises(UsageError, match="model 0 has"):
        OMLE().run(locks[0].world, [lock().world], 5)


def test_refusals():
    with pytest.raises(UsageError, match="as many 1 as -1"):
        RevealLock(0, 0, (0,), (1, 1, -1, 1))
    with pytest.raises(UsageError, match="secrets"):
        RevealLock(9, 0, (0,), (1, -1))
    with pytest.raises(UsageError, match="epsilon"):
        RevealLock(0, 0, (0,), (1, -1), epsilon=0.7)
    with pytest.raises(UsageError, match="access 'reveal'"):
        CollisionExplore().run(lock(access="free"), np.random.default_rng(0))
