"""Learners in small worlds: exact regret, learning, and the constants they refuse."""

import jax.numpy as jnp
import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.finite.fitted_q import FittedQ
from headstart.finite.linear import random_linear_world
from headstart.finite.lsvi_ucb import LSVIUCB
from headstart.finite.mdp import DiscountedMDP
from headstart.finite.natural_policy_gradient import OptimisticNPG, natural_policy_gradient
from headstart.finite.planning import backward_induction, value_iteration, value_of
from headstart.finite.posterior_sampling import PosteriorSampling
from headstart.finite.q_learning import UCBQ
from headstart.finite.simulation import simulate
from headstart.finite.ucbvi import UCBVI
from headstart.finite.worlds import combination_lock, random_world

LOCK = combination_lock(horizon=4, actions=3)  # the decoy pays 0.1, the code 1; at random 1 in 81


@pytest.mark.parametrize(
    ("learner", "episodes"),
    [
        (UCBVI(), 300),
        (UCBVI(bonus="bernstein"), 300),
        (PosteriorSampling(), 300),
        (UCBQ(), 1500),
        (LSVIUCB(), 300),
        (OptimisticNPG(step_size=4.0), 1500),
    ],
    ids=lambda value: value if isinstance(value, int) else f"{type(value).__name__} {getattr(value, 'bonus', '')}",
)
def test_explorers_open_a_lock_that_chance_does_not(learner, episodes):
    curves = simulate(learner, LOCK, episodes, seeds=4, points=4)
    assert curves.optimal == pytest.approx(1)
    late = (curves.regret[:, -1] - curves.regret[:, -2]) / (episodes / 4)
    assert late.mean() < 0.3, late
    assert (np.diff(curves.regret, axis=1) >= -1e-3).all()


def test_chance_does_not_open_it():
    curves = simulate(FittedQ(exploration=0.1), combination_lock(horizon=8, actions=4), 100, seeds=4, points=1)
    assert (curves.values <= 0.2).all()


SMALL = random_world(states=3, actions=2, horizon=3)


def test_regret_is_what_the_played_policies_lack():
    optimal = backward_induction(SMALL).values[0, 0]
    curves = simulate(UCBVI(), SMALL, 25, seeds=[5, 9], points=25)
    assert curves.episodes.tolist() == list(range(1, 26))
    assert curves.optimal == pytest.approx(optimal)
    np.testing.assert_allclose(np.cumsum(optimal - curves.values, axis=1), curves.regret, atol=1e-4)
    last = UCBVI().policy(curves.states)[0]
    assert float(value_of(SMALL, np.asarray(last))) == pytest.approx(curves.values[0, -1], abs=1e-5)
    assert curves.states.visits.count.sum() == 2 * 25 * 3


def test_returns_agree_with_values_when_nothing_is_learned():
    class Still(FittedQ):
        def begin(self, state, key):
            return state

    world = random_world(states=4, actions=3, horizon=5)
    curves = simulate(Still(exploration=1.0), world, 2000, seeds=3, points=1)
    uniform = value_of(world, np.full((5, 4, 3), 1 / 3))
    np.testing.assert_allclose(curves.values, uniform, rtol=1e-4)
    np.testing.assert_allclose(curves.returns, uniform, atol=0.15)


def test_a_seed_is_the_same_in_any_company():
    three = simulate(UCBVI(), SMALL, 25, seeds=3, points=5, threads=2)
    two = simulate(UCBVI(), SMALL, 25, seeds=[2, 7], points=5)
    assert three.regret.shape == (3, 5)
    np.testing.assert_allclose(two.regret[0], three.regret[2], rtol=1e-5)
    assert len({tuple(curve) for curve in [*three.regret, two.regret[1]]}) == 4


def test_learners_are_the_same_when_their_constants_are_and_never_by_arrays():
    assert UCBVI(0.5) == UCBVI(0.5) != UCBVI(0.6)
    assert LSVIUCB() != LSVIUCB(scale=0.5)
    assert LSVIUCB(features=np.full((2, 3, 2), 0.5)) != LSVIUCB(features=np.full((2, 3, 2), 0.1))


@pytest.mark.parametrize("arguments", [{"episodes": 0}, {"seeds": 0}, {"seeds": []}, {"points": 0}])
def test_nothing_to_simulate_is_refused(arguments):
    with pytest.raises(UsageError, match="at least 1"):
        simulate(UCBVI(), LOCK, **({"episodes": 10, "seeds": 2} | arguments))


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (UCBVI, {"confidence": 1.0}, "confidence is 1.0"),
        (UCBVI, {"confidence": 0.0}, "confidence is 0.0"),
        (UCBVI, {"scale": -1.0}, "scale is -1"),
        (UCBVI, {"bonus": "hofding"}, "hoeffding or bernstein"),
        (UCBQ, {"confidence": 1.5}, "confidence is 1.5"),
        (LSVIUCB, {"confidence": 1.5}, "confidence is 1.5"),
        (LSVIUCB, {"ridge": 0.0}, "full rank"),
        (LSVIUCB, {"features": np.ones((3, 2))}, r"shape \[3, 2\]"),
        (FittedQ, {"exploration": 2.0}, "exploration is 2"),
        (PosteriorSampling, {"transition_prior": 0.0}, "transition_prior is 0"),
        (OptimisticNPG, {"step_size": 0.0}, "step_size is 0"),
    ],
)
def test_impossible_constants_are_refused(kind, fields, message):
    with pytest.raises(UsageError, match=message):
        kind(**fields)


def test_features_must_be_of_the_world_and_short():
    with pytest.raises(UsageError, match="features are of 3 states and 2 actions"):
        simulate(LSVIUCB(features=np.full((3, 2, 2), 0.5)), LOCK, 3, seeds=1)
    with pytest.warns(UserWarning, match="assume at most 1"):
        LSVIUCB(features=np.full((2, 3, 2), 2.0))


def test_features_make_learning_faster_where_the_world_is_linear():
    world = random_linear_world(states=15, actions=5, dimension=3, horizon=4)
    informed = simulate(LSVIUCB(features=world.features), world, 300, seeds=4, points=1)
    blind = simulate(LSVIUCB(), world, 300, seeds=4, points=1)
    assert informed.regret.mean() < 0.7 * blind.regret.mean()


def test_incremental_regression_is_ridge_regression():
    world = random_linear_world(states=5, actions=2, dimension=3, horizon=2)
    curves = simulate(LSVIUCB(features=world.features), world, 40, seeds=1, points=1)
    seen = curves.states.seen
    state = type(seen)(*(jnp.asarray(part[0]) for part in seen))
    values = np.arange(5.0)
    prediction, width = state.fit(jnp.array(1), jnp.asarray(values))
    inverse = np.linalg.inv(np.asarray(state.precision[1], np.float64))
    weights = inverse @ (np.asarray(state.rewards[1]) + np.asarray(state.transitions[1]) @ values)
    features = np.asarray(world.features)
    np.testing.assert_allclose(prediction, features @ weights, atol=1e-3)
    np.testing.assert_allclose(width, np.sqrt(np.einsum("sad,de,sae->sa", features, inverse, features)), atol=1e-4)
    assert np.asarray(state.precision[1]).trace() > 3  # ridge and data


def test_natural_policy_gradient_keeps_its_promise():
    random = np.random.default_rng(0)
    world = DiscountedMDP.of(random.dirichlet(np.ones(5), (5, 3)), random.random((5, 3)), 0.8)
    optimal = float(world.initial @ value_iteration(world, 1e-9).values)
    for step_size in (0.5, 5.0):
        iterates = natural_policy_gradient(world, 40, step_size)
        assert (np.diff(iterates.values) >= -1e-9).all()
        promised = (np.log(3) / step_size + 5) * 5 / np.arange(1, 41)
        assert (optimal - iterates.values[1:] <= promised).all()
    assert natural_policy_gradient(world, 200, 5.0).values[-1] == pytest.approx(optimal, abs=1e-4)
    with pytest.raises(UsageError, match="iterations"):
        natural_policy_gradient(world, 0, 1.0)


def test_natural_policy_gradient_plans_in_episodes():
    world = random_world(states=4, actions=3, horizon=5)
    iterates = natural_policy_gradient(world, 60, 3.0)
    assert iterates.values[-1] == pytest.approx(backward_induction(world).values[0, 0], abs=1e-2)
    assert iterates.policy.shape == (5, 4, 3)
    assert value_of(world, iterates.policy) == pytest.approx(iterates.values[-1])
