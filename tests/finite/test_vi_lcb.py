"""Pessimistic value iteration: its limits, its certificate, what it does not trust."""

import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.finite.drawing import draw_pairs
from headstart.finite.episodes import Counts
from headstart.finite.mdp import DiscountedMDP
from headstart.finite.planning import evaluate_stationary, value_iteration
from headstart.finite.transitions import Transitions
from headstart.finite.vi_lcb import VILCB

DISCOUNT = 0.8


def world(seed=0):
    generator = np.random.default_rng(seed)
    transition = generator.dirichlet(np.full(6, 0.3), (6, 3))
    return DiscountedMDP.of(transition, generator.uniform(0.25, 1, (6, 3)), DISCOUNT)


def test_without_penalty_it_is_value_iteration_in_the_empirical_world():
    counts = draw_pairs(world(), np.full((6, 3), 1 / 18), 3000, np.random.default_rng(1))
    empirical = value_iteration(DiscountedMDP.of(counts.frequencies, counts.mean_reward, DISCOUNT), 1e-12)
    ours = VILCB(DISCOUNT, penalty_scale=0).plan(counts)
    np.testing.assert_allclose(ours.lower_value, empirical.values, atol=1e-6)
    np.testing.assert_array_equal(ours.policy, empirical.policy)


@pytest.mark.parametrize("width", ["hoeffding", "bernstein"])
def test_with_plenty_of_data_it_is_optimal(width):
    counts = draw_pairs(world(), np.full((6, 3), 1 / 18), 10**9, np.random.default_rng(1))
    plan = VILCB(DISCOUNT, width=width).plan(counts)
    np.testing.assert_array_equal(plan.policy, value_iteration(world()).policy)
    assert plan.coverage == 1


@pytest.mark.parametrize("width", ["hoeffding", "bernstein"])
def test_lower_values_are_below_the_policys_in_nearly_every_data_set(width):
    generator = np.random.default_rng(0)
    right = 0
    for seed in range(100):
        truth = world(seed)
        counts = draw_pairs(truth, generator.dirichlet(np.ones(18)).reshape(6, 3), 300, generator)
        plan = VILCB(DISCOUNT, penalty_scale=0.5, width=width).plan(counts)
        right += bool((plan.lower_value <= evaluate_stationary(truth, plan.policy) + 1e-9).all())
    assert right >= 95


def test_data_sets_in_leading_axes_are_planned_with_apart():
    draws = [draw_pairs(world(seed), np.full((6, 3), 1 / 18), 500, np.random.default_rng(seed)) for seed in range(3)]
    together = VILCB(DISCOUNT).plan(Counts(*(np.stack(column) for column in zip(*(draw[:2] for draw in draws)))))
    for index, draw in enumerate(draws):
        alone = VILCB(DISCOUNT).plan(draw)
        np.testing.assert_allclose(together.lower_value[index], alone.lower_value)
        np.testing.assert_array_equal(together.policy[index], alone.policy)


def lucky():
    """Action 0 was seen often and pays 0.6; action 1 was seen once and paid 1; nothing follows."""
    rows = 200
    actions = np.zeros(rows, int)
    actions[0] = 1
    rewards = np.where(actions == 1, 1.0, 0.6)
    return Transitions.of(
        np.zeros(rows, int), actions, rewards, np.zeros(rows, int), np.ones(rows), n_states=2, n_actions=2
    )


def test_a_lucky_rare_action_is_not_trusted():
    pessimist = VILCB(DISCOUNT, sweeps=None).fit(lucky())
    greedy = VILCB(DISCOUNT, penalty_scale=0).fit(lucky())
    np.testing.assert_array_equal(pessimist.policy, [[1, 0], [0.5, 0.5]])  # the other state was never seen
    np.testing.assert_array_equal(greedy.policy[0], [0, 1])
    assert greedy.lower_value[0] == pytest.approx(1)  # nothing is added after a termination
    assert pessimist.coverage == 0.5


def test_theorys_certificate_holds_with_a_part_of_the_data_for_each_sweep():
    plan = VILCB(DISCOUNT, penalty_scale=44.7, data_splitting=True, sweeps=5).fit(lucky())
    np.testing.assert_array_equal(plan.policy[0], [1, 0])  # the most frequent action
    np.testing.assert_array_equal(plan.lower_value, 0)


def test_no_data_give_a_uniform_policy_and_a_warning():
    nothing = np.zeros(0, int)
    with pytest.warns(UserWarning, match="uniform"):
        plan = VILCB().fit(Transitions.of(nothing, nothing, nothing, nothing, n_states=3, n_actions=4))
    np.testing.assert_array_equal(plan.policy, 0.25)
    assert plan.coverage == 0


@pytest.mark.parametrize(
    "field", [{"discount": 1.0}, {"penalty_scale": -1.0}, {"failure_probability": 1.0}, {"sweeps": 0}]
)
def test_impossible_fields_are_refused(field):
    with pytest.raises(UsageError, match=next(iter(field))):
        VILCB(**field)
