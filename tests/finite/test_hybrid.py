"""Offline learners over a class of value functions, made hybrid, and GLOW."""

import itertools

import numpy as np
import pytest

from headstart.core.errors import DataError, HeadstartError, UsageError
from headstart.finite.certainty_equivalence import CertaintyEquivalence
from headstart.finite.episodes import collect, count
from headstart.finite.glow import GLOW
from headstart.finite.hybrid import H2O, join, nothing
from headstart.finite.mabo import MABO
from headstart.finite.maximum_likelihood import MaximumLikelihood
from headstart.finite.mdp import FiniteMDP
from headstart.finite.planning import backward_induction, value_of
from headstart.finite.slip_lock import explanations, locked, slip_lock
from headstart.finite.squared_td import SquaredTD
from headstart.finite.value_class import ValueClass
from headstart.finite.worlds import random_world

WORLDS = explanations(horizon=3, actions=2)
VALUES = ValueClass.of_worlds(WORLDS)
WORLD = slip_lock(1, horizon=3, actions=2)
OPTIMUM = backward_induction(WORLD)
UNIFORM = np.full(OPTIMUM.policy.shape, 0.5)


def is_optimal(policy):
    return value_of(WORLD, policy) == pytest.approx(value_of(WORLD, OPTIMUM.policy))


def test_explanations_are_in_the_order_that_does_least_good():
    assert len(WORLDS) == 8 * (1 + 2 + 1)
    values = np.array([world.initial @ backward_induction(world).values[0] for world in WORLDS])
    true = values[-1]
    assert (values[:8] < true).all()
    assert (values[8:24] > true).all()
    np.testing.assert_allclose(values[24:], true)
    with pytest.raises(UsageError, match="shortcut"):
        locked((0, 1, 0), shortcut=(2, 1))


def test_slip_lock_has_the_optimum_it_says():
    world = slip_lock(0)
    assert value_of(world, backward_induction(world).policy) == pytest.approx(0.7**3 * 0.9 + (1 - 0.7**3) * 0.1)


def test_residuals_are_mean_errors_of_transitions():
    data = collect(WORLD, UNIFORM, 200, seed=0)
    residuals = VALUES.residuals(count(data, WORLD.spec))
    function, step, state, action = 5, 1, 0, 1
    rows = (data.observations[:, step] == state) & (data.actions[:, step] == action)
    later = VALUES.action_values[function, step + 1].max(-1)[data.next_observations[rows, step]]
    expected = (VALUES.action_values[function, step, state, action] - data.rewards[rows, step] - later).mean()
    assert residuals[function, step, state, action] == pytest.approx(expected)


def test_the_closed_form_is_the_largest_over_weights():
    data = collect(WORLD, UNIFORM, 100, seed=0)
    counts = count(data, WORLD.spec)
    errors, share = VALUES.residuals(counts)[7], counts.visits / 100
    gamma = 0.3
    alpha = 8 / (gamma * 100)
    weights = np.linspace(-30, 30, 60001)[:, None]
    cells = share.ravel() * (weights * errors.ravel() - alpha * weights**2)
    assert cells.max(0).sum() == pytest.approx(MABO(VALUES).objective(data)[7] * gamma / 32, rel=1e-4)


def test_fixed_points_of_the_empirical_world_leave_nothing_to_expose():
    world = random_world(states=3, actions=2, horizon=3, concentration=1.0)
    data = collect(world, np.full((3, 3, 2), 0.5), 300, seed=0)
    counts = count(data, world.spec)
    unseen = counts.visits[..., None] == 0
    empirical = np.where(unseen, np.eye(3)[0], counts.frequencies)
    fixed = backward_induction(FiniteMDP.of(empirical, counts.mean_reward, 3)).action_values
    noise = np.random.default_rng(0).normal(size=fixed.shape)
    objective = MABO(ValueClass.of([fixed, fixed + 0.1 * noise])).objective(data)
    assert objective[0] == pytest.approx(0, abs=1e-6)
    assert objective[1] > 0.1


def test_squared_errors_prefer_duds_and_weighted_errors_do_not():
    data = collect(WORLD, UNIFORM, 20_000, seed=0)
    assert is_optimal(MABO(VALUES).fit(data))
    assert not is_optimal(SquaredTD(VALUES).fit(data))


def test_squared_errors_are_summed_over_transitions():
    data = collect(WORLD, UNIFORM, 50, seed=0)
    total = 0.0
    for episode, step in itertools.product(range(50), range(3)):
        state, action, reward, following = (column[episode, step] for column in data)
        later = VALUES.action_values[9, step + 1, following].max() if step < 2 else 0
        total += (VALUES.action_values[9, step, state, action] - reward - later) ** 2
    assert SquaredTD(VALUES).objective(data)[9] == pytest.approx(total)


def test_impossible_worlds_are_not_likely():
    data = collect(WORLD, UNIFORM, 300, seed=0)
    learner = MaximumLikelihood(WORLDS)
    assert is_optimal(learner.fit(data))
    assert (learner.log_likelihood(data)[8:24] == -np.inf).any()
    np.testing.assert_array_equal(learner.log_likelihood(nothing(3)), 0)
    with pytest.raises(UsageError, match="bernoulli"):
        MaximumLikelihood([random_world(reward_noise="none")])


def test_certainty_equivalence_is_optimal_with_plenty_of_data():
    assert is_optimal(CertaintyEquivalence(WORLD.spec).fit(collect(WORLD, UNIFORM, 20_000, seed=0)))


class Remembers:
    """Plays at random, and remembers what it was fitted to."""

    def __init__(self):
        self.seen = []

    def fit(self, data):
        self.seen.append(data)
        return UNIFORM


def test_recorded_episodes_are_revealed_one_for_one():
    recorded, base = collect(WORLD, UNIFORM, 20, seed=3), Remembers()
    done = H2O(base).run(WORLD, 10, recorded)
    assert [len(data.actions) for data in base.seen] == [2 * played for played in range(10)]
    last = base.seen[-1]
    expected = join([recorded.select(slice(9)), done.episodes.select(slice(9))])
    assert all(np.array_equal(a, b) for a, b in zip(last, expected, strict=True))


def test_without_recorded_episodes_the_offline_learner_is_used_online():
    base = Remembers()
    H2O(base, refit_every=3).run(WORLD, 7)
    assert [len(data.actions) for data in base.seen] == [0, 3, 6]


def test_all_recorded_episodes_at_once_or_too_few_of_them():
    recorded, base = collect(WORLD, UNIFORM, 4, seed=3), Remembers()
    H2O(base, offline_per_online=np.inf).run(WORLD, 3, recorded)
    assert [len(data.actions) for data in base.seen] == [4, 5, 6]
    with pytest.warns(UserWarning, match="4 recorded episodes are fewer than 9"):
        H2O(base).run(WORLD, 10, recorded)


def test_exploration_is_part_of_the_policies():
    done = H2O(CertaintyEquivalence(WORLD.spec), exploration=0.2).run(WORLD, 3)
    assert set(np.unique(done.policies.round(6))) == {0.1, 0.9}


def test_glow_finds_the_optimum_and_keeps_it():
    done, kept = GLOW(VALUES).run(WORLD, 150, seed=0)
    assert all(is_optimal(policy) for policy in done.policies[-30:])
    truth = np.abs(VALUES.action_values - OPTIMUM.action_values).max((1, 2, 3)).argmin()
    assert kept[0].all()
    assert kept[:, truth].all()
    assert kept[-1].sum() < len(VALUES)


def test_glow_says_when_everything_is_refuted():
    wrong = ValueClass.of(np.ones((2, 3, 3, 2)))
    with pytest.raises(HeadstartError, match="all 2 value functions were refuted: the least violation is"):
        GLOW(wrong).run(WORLD, 100)
    done, kept = GLOW(wrong, when_all_refuted="least").run(WORLD, 30, seed=0)
    assert len(done.policies) == len(kept) == 30


def test_theorys_constant_refutes_nothing_so_soon():
    _, kept = GLOW(VALUES, confidence_scale=36).run(WORLD, 20)
    assert kept.all()


def test_malformed_classes_are_refused():
    with pytest.raises(DataError, match=r"\[functions, horizon, states, actions\]"):
        ValueClass.of(np.zeros((3, 2)))
    with pytest.raises(UsageError, match="exploration 2"):
        H2O(Remembers(), exploration=2)
