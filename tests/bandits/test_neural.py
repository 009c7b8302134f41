"""Neural bandits: the perturbed network, how learners explore, and classification as a bandit."""

import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.bandits.bandit import BanditSpec
from headstart.bandits.classification import ClassificationBandit, rings, standardised
from headstart.bandits.neural_baselines import NeuralEpsilonGreedy, NeuralThompson, NeuralUCB
from headstart.bandits.neural_square_cb import NeuFastCB, NeuSquareCB
from headstart.bandits.perturbed_network import (
    descend,
    init_network,
    layers,
    network,
    perturbed_loss,
    predict,
)
from headstart.bandits.simulation import simulate
from headstart.bandits.varied import Varied
from headstart.core.errors import DataError, UsageError

KEY = jax.random.key(0)
SPEC = BanditSpec(arms=3, features=6)
CONTEXT = jnp.kron(jnp.eye(3), jnp.array([0.6, 0.8]))


@partial(jax.jit, static_argnums=0)
def begun(learner):
    return learner.init(SPEC, KEY)


def distances(net):
    return [float(jnp.linalg.norm(part)) for part in layers(net.weights - net.start, net.sizes)]


def test_the_mean_perturbed_loss_is_the_loss_and_a_pull_to_the_start():
    net = init_network(KEY, 4, 8, 2, perturbations=10_000, perturbation=0.5)
    weights = net.start + 0.3 * jax.random.normal(jax.random.key(1), net.start.shape)
    x, target = jnp.array([0.5, -0.5, 0.5, 0.5]), jnp.float32(0.3)
    distance = float(jnp.sum((weights - net.start) ** 2))
    expected = 0.5 * (0.3 - network(weights, net.sizes, x)) ** 2 + 0.5**2 * distance / (2 * math.sqrt(8))
    assert perturbed_loss(net, weights, x, target, "square") == pytest.approx(float(expected), rel=0.02)
    still = perturbed_loss(net, net.start, x, target, "square")
    assert still == pytest.approx(float(0.5 * (0.3 - network(net.start, net.sizes, x)) ** 2), rel=1e-5)


@pytest.mark.parametrize(("loss", "depth"), [("square", 1), ("kl", 2), ("square", 3)])
def test_descent_learns_and_stays_within_the_ball(loss, depth):
    x = jnp.array([1.0, 0, 0, 0])

    @partial(jax.jit, static_argnums=2)
    def learned(target, rate, radius):
        net = init_network(KEY, 4, 16, depth, perturbations=4, perturbation=0.05)
        return jax.lax.fori_loop(0, 200, lambda _, net: descend(net, x, target, loss, rate, radius), net)

    found = predict(learned(0.9, 1.0, None), x[None])[0]
    assert (found if loss == "square" else jax.nn.sigmoid(found)) == pytest.approx(0.9, abs=0.05)
    bound = learned(5.0, 1.0, 0.2)
    assert max(distances(bound)) == pytest.approx(0.2, rel=1e-3)
    assert len(distances(bound)) == depth


@pytest.mark.parametrize("kind", [NeuSquareCB, NeuFastCB])
def test_probabilities_by_inverse_gaps(kind):
    state = begun(kind(width=8))
    explored = jax.jit(lambda gamma: Varied.of(kind(width=8), gamma=gamma).probabilities(state, CONTEXT))
    probabilities = {gamma: explored(gamma) for gamma in (0.0, 20.0, 1e9)}
    assert np.asarray(probabilities[0.0]) == pytest.approx(np.full(3, 1 / 3), abs=1e-6)
    losses = kind(width=8).losses(state, CONTEXT)
    best = int(jnp.argmin(losses))
    assert probabilities[1e9][best] == pytest.approx(1, abs=1e-5)
    for found in probabilities.values():
        assert float(found.sum()) == pytest.approx(1, abs=1e-6)
        assert found.min() > 0
    gaps = losses - losses[best]
    scale = 1.0 if kind is NeuSquareCB else float(losses[best])
    other = (best + 1) % 3
    assert probabilities[20.0][other] == pytest.approx(float(scale / (3 * scale + 20 * gaps[other])), rel=1e-4)


def test_equal_and_vanishing_predictions_are_explored_evenly():
    for learner in (NeuSquareCB(gamma=50.0), NeuFastCB(gamma=50.0)):
        assert learner.others(jnp.zeros(2), jnp.zeros(()))[1] == pytest.approx(0.5)


def separable(rows=60, noise=0.0):
    generator = np.random.default_rng(0)
    labels = np.arange(rows) % 3
    features = np.eye(3)[labels] + 0.2 * generator.normal(size=(rows, 3))
    return ClassificationBandit.of(standardised(features), labels, noise)


@pytest.mark.parametrize(
    "learner",
    [NeuFastCB(width=16, perturbations=2, learning_rate=2.0), NeuralThompson(width=16)],
    ids=lambda learner: type(learner).__name__,
)
def test_learners_learn(learner):
    regret = simulate(learner, separable(), 600, seeds=3, points=2).regret
    assert np.all(regret[:, -1] < 0.6 * 600 * 2 / 3)
    assert np.mean(regret[:, 1] - regret[:, 0]) < 0.8 * np.mean(regret[:, 0])


def test_the_rate_falls_once_curvature_says_so():
    learner = NeuSquareCB(width=8, curvature=10.0)
    state = begun(learner)

    @jax.jit
    def change(steps):
        after = learner.observe(state._replace(steps=steps), CONTEXT, jnp.int32(0), jnp.float32(0), 1.0)
        return jnp.abs(after.net.weights - state.net.weights).max()

    assert 0 < change(10_000) < change(0) / 1000


def test_uncertainty_falls_where_rewards_were_seen():
    learner = NeuralUCB(width=8, scale=1.0)
    state = begun(learner)

    @jax.jit
    def widths(state):
        after = learner.observe(state, CONTEXT, jnp.int32(1), jnp.float32(1.0), 1.0)
        return learner.widths(state, CONTEXT), learner.widths(after, CONTEXT)

    before, after = widths(state)
    assert after[1] < 0.95 * before[1]


def test_varied_numbers_do_what_fields_do():
    plain = NeuFastCB(width=8, gamma=30.0, learning_rate=1.0)
    varied = Varied.of(NeuFastCB(width=8), gamma=30.0, learning_rate=1.0)

    def play(learner):
        state = learner.observe(learner.init(SPEC, KEY), CONTEXT, jnp.int32(1), jnp.float32(0.2), 1.0)
        return learner.probabilities(state, CONTEXT)

    assert np.allclose(jax.jit(play, static_argnums=0)(plain), jax.jit(play)(varied), rtol=1e-4)
    with pytest.raises(UsageError, match="no field gama"):
        Varied.of(NeuFastCB(), gama=1.0)


def test_classes_are_rewards():
    world = ClassificationBandit.of([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [0, 2, 1], noise=0.3)
    assert world.spec == BanditSpec(3, 6)
    contexts = jax.vmap(world.context, (None, 0))(jnp.int32(0), jax.random.split(KEY, 300))
    means = np.asarray(jax.vmap(world.means)(contexts))
    contexts = np.asarray(contexts)
    first = contexts[:, 0, 0] == 1
    assert first.mean() == pytest.approx(1 / 3, abs=0.1)
    assert np.allclose(means[first], [0.8, 0.1, 0.1])
    assert np.allclose(means[~first], [0.1, 0.45, 0.45])
    assert np.array_equal(contexts[:, 1, 2:4], contexts[:, 0, :2])
    assert not contexts[:, 1, :2].any()
    features, labels = rings(500, np.random.default_rng(0))
    assert np.linalg.norm(features, axis=1) == pytest.approx(1)
    assert (np.bincount(labels) > 80).all()


@pytest.mark.parametrize(
    ("features", "labels", "noise", "error"),
    [
        ([[1.0], [2.0]], [0], 0.0, DataError),
        ([[1.0], [math.nan]], [0, 1], 0.0, DataError),
        ([[1.0], [2.0]], [0, -1], 0.0, DataError),
        ([[1.0], [2.0]], [0, 0.5], 0.0, DataError),
        ([[1.0], [2.0]], [0, 1], 1.5, UsageError),
    ],
)
def test_tables_that_cannot_be(features, labels, noise, error):
    with pytest.raises(error):
        ClassificationBandit.of(features, labels, noise)


def test_constants_that_cannot_be():
    for kind, wrong in (
        (NeuFastCB, {"width": 0}),
        (NeuFastCB, {"learning_rate": -1.0}),
        (NeuSquareCB, {"gamma": -1.0}),
        (NeuSquareCB, {"radius": 0.0}),
        (NeuralEpsilonGreedy, {"epsilon": 2.0}),
        (NeuralUCB, {"ridge": 0.0}),
    ):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            kind(**wrong)
    with pytest.raises(UsageError, match="needs features"):
        NeuFastCB().init(BanditSpec(3), KEY)
    with pytest.raises(UsageError, match="bounds"):
        NeuFastCB(width=1).init(dataclasses.replace(SPEC, reward_high=math.inf), KEY)
