"""Simulated learners: regret is what it says, and each learner learns where it is meant to."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.bandits.bandit import BanditSpec, among_best, draw
from headstart.bandits.epsilon_greedy import EpsilonGreedy
from headstart.bandits.registry import LEARNERS, WORLDS, make_learner, make_world, split_text
from headstart.bandits.simulation import simulate
from headstart.bandits.ucb import UCB
from headstart.bandits.worlds import AdvisedBandit, BernoulliBandit, GaussianBandit, LinearBandit
from headstart.core.errors import UsageError


def test_draws_follow_their_probabilities() -> None:
    probabilities = jnp.array([0.0, 0.2, 0.5, 0.3, 0.0])
    choices = jax.vmap(lambda key: draw(probabilities, key))(jax.random.split(jax.random.key(0), 20_000))
    share = np.bincount(choices.action, minlength=5) / 20_000
    np.testing.assert_allclose(share, probabilities, atol=0.015)
    np.testing.assert_allclose(choices.propensity, probabilities[choices.action])


def test_ties_are_broken_evenly() -> None:
    np.testing.assert_allclose(among_best(jnp.array([1.0, 3.0, jnp.inf, jnp.inf])), [0, 0, 0.5, 0.5])


def test_uniform_choice_has_the_regret_that_can_be_computed_by_hand() -> None:
    world = BernoulliBandit.of([0.1, 0.5, 0.9])
    curves = simulate(EpsilonGreedy(epsilon=1.0), world, horizon=1000, seeds=50, points=7)
    assert curves.steps[-1] == 1000
    assert curves.regret.shape == (50, 7)
    np.testing.assert_allclose(curves.regret.mean(0), 0.4 * curves.steps, rtol=0.05)
    np.testing.assert_allclose(curves.reward.mean(0), 0.5 * curves.steps, rtol=0.05)
    assert (np.diff(curves.regret) >= 0).all()


def test_seeds_stand_alone() -> None:
    world, learner = BernoulliBandit.of([0.3, 0.6]), UCB()
    one, other = (simulate(learner, world, 200, seeds=seeds, points=4) for seeds in ([0, 1, 2], [2, 7, 0]))
    np.testing.assert_array_equal(one.regret[[2, 0]], other.regret[[0, 2]])
    assert len(np.unique(one.regret[:, -1])) == 3


# Regret in the suite's shared worlds, with room for chance on both sides: prototype numbers of UCB with a bonus of
# half the theory's are 18, of eps 0.2 30 and of uniform choice 119.
@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("ucb:scale=0.5", 13, 23),
        ("kl-ucb", 10, 22),
        ("imed", 9, 20),
        ("beta-thompson", 9, 19),
        ("exp3", 25, 65),
    ],
)
def test_regret_with_one_better_arm(text: str, low: float, high: float) -> None:
    name, fields = split_text(text)
    curves = simulate(make_learner(name, **fields), make_world("bernoulli-gap", arms=5, gap=0.5), 300, 200, points=2)
    assert low < curves.regret[:, -1].mean() < high


def test_gaussian_thompson_in_its_world() -> None:
    curves = simulate(make_learner("gaussian-thompson", deviation=0.3), make_world("gaussian"), 2000, 50, points=10)
    assert curves.regret[:, -1].mean() < 25  # uniform choice: about 700
    late, early = curves.regret[:, -1] - curves.regret[:, 4], curves.regret[:, 4]
    assert late.mean() < early.mean()


@pytest.mark.parametrize("text", ["lin-ucb:deviation=0.1", "lin-thompson:deviation=0.1"])
def test_linear_learners_share_what_they_learn_between_arms(text: str) -> None:
    name, fields = split_text(text)
    curves = simulate(make_learner(name, **fields), make_world("linear-fresh"), 400, 20, points=4)
    assert curves.regret[:, -1].mean() < 12  # uniform choice: about 200
    assert (curves.regret[:, -1] - curves.regret[:, 1]).mean() < curves.regret[:, 0].mean()


def test_a_model_for_each_arm_learns_what_a_shared_one_cannot() -> None:
    """Half the time both arms show the same feature, good for one and bad for the other; else they show nothing."""
    advice = jnp.broadcast_to(jnp.array([1.0, 0.0])[:, None, None], (2, 2, 1))
    world = AdvisedBandit(jnp.array([[1.0, 0.0], [0.5, 0.5]]), advice)
    curves = simulate(make_learner("lin-ucb", alpha=0.5, disjoint=True), world, 500, 10, points=1)
    assert curves.regret.mean() < 15  # a shared parameter cannot tell the arms apart: about 125


def test_exp4_finds_the_best_expert() -> None:
    curves = simulate(make_learner("exp4"), make_world("advised"), 3000, 10, points=1)
    assert curves.regret.mean() < 150  # the best single arm: about 700


def test_every_learner_and_world_can_be_named() -> None:
    for entry in WORLDS:
        world = make_world(entry.name)
        shown = jax.eval_shape(world.context, jnp.int32(0), jax.random.key(0))
        assert shown.shape == world.spec.context_shape
        assert jax.eval_shape(world.means, shown).shape == (world.spec.arms,)
    for entry in LEARNERS:
        assert LEARNERS.get(entry.name).__doc__


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BernoulliBandit.of([0.5, 1.2]), "arm 1 has probability 1.2"),
        (lambda: BernoulliBandit.of([]), "not empty"),
        (lambda: GaussianBandit.of([0.0], 0.0), "deviation"),
        (lambda: LinearBandit.of([1.0, 0.0], np.eye(3)), "3 columns"),
        (lambda: AdvisedBandit.of([[0.5, 0.5]], [[[0.5], [0.1]]]), "expert 0's advice in situation 0"),
        (lambda: BanditSpec(0), "at least one arm"),
        (lambda: BanditSpec(2, None, 1.0, 0.0), "reward_low"),
        (lambda: simulate(UCB(), BernoulliBandit.of([0.5]), 0), "horizon"),
        (lambda: simulate(UCB(), BernoulliBandit.of([0.5]), 5, seeds=[]), "seeds"),
        (lambda: simulate(UCB(), GaussianBandit.of([0.5, 1.0], 1.0), 5), "deviation="),
        (lambda: simulate(make_learner("exp3"), GaussianBandit.of([0.5, 1.0], 1.0), 5), "unbounded"),
        (lambda: simulate(make_learner("exp4"), BernoulliBandit.of([0.5, 1.0]), 5), "advice"),
        (lambda: simulate(make_learner("lin-ucb"), BernoulliBandit.of([0.5, 1.0]), 5), "features"),
        (lambda: simulate(make_learner("lin-ucb", confidence=1.0), make_world("linear"), 5), "confidence"),
        (lambda: simulate(make_learner("lin-ucb", alpha=1, ridge=0), make_world("linear"), 5), "rank-deficient"),
        (lambda: make_learner("lin-ucv"), "lin-ucb"),
        (lambda: make_learner("ucb", scael=1), "scale"),
        (lambda: make_world("linear", arm=3), "arms"),
        (lambda: split_text("ucb:scale"), "option=value"),
    ],
)
def test_what_cannot_work_is_refused_in_words(make, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


def test_features_longer_than_theory_assumes_are_warned_about() -> None:
    with pytest.warns(UserWarning, match="norm 2"):
        LinearBandit.of([1.0, 0.0], [[2.0, 0.0], [0.0, 1.0]])


def test_theory_s_radius_grows_with_confidence_and_time() -> None:
    spec = BanditSpec(2, 3, -math.inf, math.inf)

    def radius(confidence: float, steps: float) -> float:
        learner = make_learner("lin-ucb", confidence=confidence, deviation=1.0)
        state = learner.init(spec, jax.random.key(0))
        return float(learner.radius(state._replace(model=state.model._replace(steps=jnp.float32(steps)))))

    assert radius(0.9, 0) == pytest.approx(math.sqrt(-2 * math.log(0.1)) + 1, rel=1e-5)
    assert radius(0.9, 100) < radius(0.99, 100) < radius(0.99, 1000)
