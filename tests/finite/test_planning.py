"""Exact planners, against each other and against enumeration."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.finite import planning
from headstart.finite.mdp import DiscountedMDP, FiniteMDP


@pytest.fixture(params=[True, False], ids=["stationary", "changing"])
def world(request):
    random = np.random.default_rng(1)
    steps = () if request.param else (3,)
    transition = random.dirichlet(np.full(3, 0.5), (*steps, 3, 2))
    return FiniteMDP.of(transition, random.random((*steps, 3, 2)), 3, [0.5, 0.3, 0.2])


@pytest.fixture
def discounted():
    random = np.random.default_rng(2)
    return DiscountedMDP.of(random.dirichlet(np.full(6, 0.3), (6, 3)), random.random((6, 3)), 0.9)


def on_device(world):
    return jax.tree.map(jnp.asarray, world)


def random_policy(*shape):
    return np.random.default_rng(3).dirichlet(np.ones(shape[-1]), shape[:-1])


def test_backward_induction_is_the_best_of_all_policies(world):
    solution = planning.backward_induction(world)
    everything = (np.eye(2)[list(choice)].reshape(3, 3, 2) for choice in itertools.product(range(2), repeat=9))
    best = max(planning.value_of(world, policy) for policy in everything)
    assert world.initial @ solution.values[0] == pytest.approx(best)
    assert planning.value_of(world, solution.policy) == pytest.approx(best)


def test_ties_go_to_the_lowest_action():
    world = FiniteMDP.of(np.ones((1, 3, 1)), [[0.2, 0.7, 0.7]], 2)
    np.testing.assert_array_equal(planning.backward_induction(world).policy[:, 0], [[0, 1, 0]] * 2)


def test_compiled_planning_agrees_with_double_precision(world):
    policy = random_policy(3, 3, 2)
    for plan in (
        planning.backward_induction,
        lambda world: planning.evaluate_policy(world, policy),
        lambda world: planning.occupancy(world, policy),
        lambda world: planning.soft_backward_induction(world, policy, 0.3),
    ):
        exact, compiled = plan(world), jax.jit(plan)(on_device(world))
        for ours, theirs in zip(jax.tree.leaves(exact), jax.tree.leaves(compiled), strict=True):
            assert isinstance(theirs, jax.Array)
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_occupancy_adds_up_rewards_to_the_value(world):
    policy = random_policy(3, 3, 2)
    occupancy = planning.occupancy(world, policy)
    np.testing.assert_allclose(occupancy.sum((1, 2)), 1)
    assert (occupancy * world.reward).sum() == pytest.approx(planning.value_of(world, policy))


def test_soft_planning_lies_between_the_prior_and_the_optimum(world):
    prior = random_policy(3, 3, 2)
    cold = planning.soft_backward_induction(world, prior, 1e-5)
    np.testing.assert_allclose(cold.values, planning.backward_induction(world).values, atol=1e-3)
    hot = planning.soft_backward_induction(world, prior, 1e6)
    np.testing.assert_allclose(hot.policy, prior, atol=1e-5)
    np.testing.assert_allclose(hot.values, planning.evaluate_policy(world, prior), atol=1e-5)

    soft = planning.soft_backward_induction(world, prior, 0.2)
    divergence = (soft.policy * np.log(soft.policy / prior)).sum(-1)  # [step, state]
    cost = (planning.occupancy(world, soft.policy).sum(-1) * divergence).sum()
    worth = planning.value_of(world, soft.policy) - 0.2 * cost
    assert world.initial @ soft.values[0] == pytest.approx(worth)


def test_soft_planning_never_takes_what_the_prior_never_takes():
    world = FiniteMDP.of(np.ones((1, 2, 1)), [[1.0, 0.0]], 2)
    solution = planning.soft_backward_induction(world, np.tile([0.0, 1.0], (2, 1, 1)), 1e-3)
    np.testing.assert_array_equal(solution.policy[:, 0], [[0, 1]] * 2)
    np.testing.assert_allclose(solution.values[0], 0, atol=1e-12)


def test_discounted_planners_agree(discounted):
    iterated = planning.value_iteration(discounted, 1e-8)
    programmed = planning.solve_by_linear_program(discounted)
    np.testing.assert_allclose(iterated.values, programmed.values, atol=1e-7)
    np.testing.assert_array_equal(iterated.policy, programmed.policy)
    np.testing.assert_allclose(planning.evaluate_stationary(discounted, iterated.policy), iterated.values, atol=1e-7)
    compiled = jax.jit(planning.value_iteration)(on_device(discounted))
    np.testing.assert_allclose(compiled.values, iterated.values, atol=1e-4)
    occupancy = planning.discounted_occupancy(discounted, iterated.policy)
    assert occupancy.sum() == pytest.approx(1)
    value = (occupancy * discounted.reward).sum() / (1 - discounted.discount)
    assert value == pytest.approx(discounted.initial @ iterated.values)


@pytest.mark.parametrize("tolerance", [0.3, 1e-3])
def test_value_iteration_is_as_close_as_asked(discounted, tolerance):
    optimal = planning.solve_by_linear_program(discounted).values
    assert np.abs(planning.value_iteration(discounted, tolerance).values - optimal).max() <= tolerance


def test_a_world_without_future_is_worth_its_rewards():
    world = DiscountedMDP.of(np.ones((1, 2, 1)), [[0.2, 0.7]], 0)
    np.testing.assert_allclose(planning.value_iteration(world).values, [0.7])
