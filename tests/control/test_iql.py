"""IQL and XQL: value regression against closed forms, and two-armed problems whose best action is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.control.handover import hand_over
from headstart.control.iql import IQL
from headstart.control.plan import offline, online
from headstart.control.xql import XQL, gumbel_loss
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.batch import Batch
from tests.control.tiny_problem import SPEC, initial, quick, recorded

CONTINUOUS = Spec(Box.uniform((2,), -1, 1), Box.uniform((1,), -1, 1))
DISCRETE = Spec(Box.uniform((2,), -1, 1), Discrete(3))


def one_step(spec, rows=192):
    """Uniformly random actions; the best is 0.6 times the first observation, or the choice that it points to."""
    rng = np.random.default_rng(0)
    observations = rng.uniform(-1, 1, (rows, 2))
    if spec.discrete:
        actions, best = rng.integers(0, 3, rows), np.digitize(observations[:, 0], [-1 / 3, 1 / 3])
        rewards = (actions == best).astype(float)
    else:
        actions, best = rng.uniform(-1, 1, (rows, 1)), 0.6 * observations[:, :1]
        rewards = 1 - 4 * np.square(actions - best).sum(1)
    columns = (observations, actions, rewards, observations, np.ones(rows), np.full(rows, 0.9))
    return Batch(*(jnp.asarray(c, jnp.int32 if c.dtype.kind == "i" else jnp.float32) for c in columns)), best


def fresh(method, spec, *leading, scale=1.0):
    """A state of random networks, and of targets that differ from them; drawn in NumPy, which compiles nothing."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda key: method.init(key, spec), jax.random.key(0))

    def normal(leaf):
        return jnp.asarray(scale * rng.normal(size=(*leading, *leaf.shape)), leaf.dtype)

    return jax.tree.map(lambda leaf: jnp.zeros((*leading, *leaf.shape), leaf.dtype), shapes).replace(
        nets=jax.tree.map(normal, shapes.nets), targets=jax.tree.map(normal, shapes.targets)
    )


def layer_by_hand(net, inputs):
    layer = net.trunk.layers[0]
    return np.einsum("bi,...io->...bo", inputs, np.asarray(layer.weight)) + np.asarray(layer.bias)[..., None, :]


def gap_by_hand(state, batch):
    """The target critics' lower value of the recorded action, minus V; both of networks without hidden layers."""
    values = layer_by_hand(state.targets["critic"], np.concatenate([batch.observations, batch.actions], 1))
    return values[..., 0].min(0) - layer_by_hand(state.nets["value"], batch.observations)[:, 0]


def test_expectile_of_a_half_is_half_the_squared_error_and_others_are_lopsided():
    batch, _ = one_step(CONTINUOUS)
    state = fresh(IQL(hidden=()), CONTINUOUS)
    gap = gap_by_hand(state, batch)
    for expectile in (0.5, 0.9):
        method = IQL(hidden=(), expectile=expectile)
        loss = jax.jit(lambda s, m=method: m.value_loss(s.nets["value"], s.views(), batch, jax.random.key(0))[0])(state)
        expected = np.where(gap > 0, expectile, 1 - expectile) * np.square(gap)
        np.testing.assert_allclose(loss, expected.mean(), rtol=1e-5)
        if expectile == 0.5:
            np.testing.assert_allclose(loss, 0.5 * np.square(gap).mean(), rtol=1e-5)


def test_policy_and_critic_losses_by_hand():
    batch, _ = one_step(CONTINUOUS)
    batch = batch._replace(terminations=jnp.arange(len(batch.rewards)) % 2.0)
    method = IQL(hidden=(), temperature=2.0, advantage_clip=5.0)
    state = fresh(method, CONTINUOUS)

    @jax.jit
    def losses(state):
        nets, key = state.views(), jax.random.key(0)
        return method.actor_loss(nets.actor, nets, batch, key)[0], method.critic_loss(nets.critic, nets, batch, key)[0]

    weights = np.minimum(np.exp(2 * gap_by_hand(state, batch)), 5.0)
    assert 0 < (weights == 5).mean() < 1
    mean, log_std = (
        np.tanh(layer_by_hand(state.nets["actor"], batch.observations)),
        float(state.nets["actor"].log_std[0]),
    )
    log_probs = (
        -0.5 * np.square((np.asarray(batch.actions) - mean) / np.exp(log_std)) - log_std - 0.5 * np.log(2 * np.pi)
    )
    later = layer_by_hand(state.nets["value"], batch.next_observations)[:, 0]
    target = np.asarray(batch.rewards) + 0.9 * (1 - np.asarray(batch.terminations)) * later
    values = layer_by_hand(state.nets["critic"], np.concatenate([batch.observations, batch.actions], 1))[..., 0]
    actor, critic = losses(state)
    np.testing.assert_allclose(actor, -np.mean(weights * log_probs[:, 0]), rtol=1e-4)
    np.testing.assert_allclose(critic, np.square(values - target).sum(0).mean(), rtol=1e-4)


def test_networks_start_orthogonal_and_the_policys_step_size_decays():
    trunk = jax.jit(lambda key: IQL(hidden=(8, 8)).perceptron(3, 1, key))(jax.random.key(0))
    for layer in trunk.layers:
        weight = np.asarray(layer.weight)
        gram = weight.T @ weight if weight.shape[0] >= weight.shape[1] else weight @ weight.T
        np.testing.assert_allclose(gram, 2 * np.eye(len(gram)), atol=1e-5)
        assert not np.any(layer.bias)
    for steps, last in ((2, 0.0), (None, 3e-4)):
        optimizer = IQL(actor_decay_steps=steps).optimizer("actor")
        parameter, state = jnp.ones(()), optimizer.init(jnp.ones(()))
        for _ in range(3):
            change, state = optimizer.update(jnp.ones(()), state, parameter)
        assert float(change) == pytest.approx(-last, abs=1e-8)


def test_gumbel_loss_is_a_scaled_closed_form():
    loss = jax.jit(jax.value_and_grad(gumbel_loss))
    z = np.random.default_rng(0).normal(size=200)
    largest = z.max()
    value, _ = loss(z, 7.0)
    np.testing.assert_allclose(value, np.exp(-largest) * np.mean(np.exp(z) - z - 1), rtol=1e-4)
    value, slope = loss(np.where(np.arange(200) == 3, 1e4, z), 7.0)
    assert np.isfinite(value)
    assert slope[3] == 0
    value, slope = loss(np.full(200, -1e4), 7.0)
    assert np.isfinite(value)
    assert np.all(np.isfinite(slope))


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_gumbel_loss_is_least_at_the_soft_maximum(temperature):
    q = np.random.default_rng(0).normal(size=1000)
    soft_maximum = temperature * np.log(np.mean(np.exp(q / temperature)))
    slope = jax.jit(jax.grad(lambda v: gumbel_loss((q - v) / temperature, clip=50.0)))
    below, there, above = (float(slope(soft_maximum + shift)) for shift in (-0.1, 0.0, 0.1))
    assert below < 0 < above
    assert abs(there) < 1e-5


def test_xql_losses_by_hand():
    batch, _ = one_step(CONTINUOUS)
    method = XQL(hidden=(), gumbel_temperature=1.5, huber_delta=1.0)
    state = fresh(method, CONTINUOUS)

    @jax.jit
    def losses(state):
        nets, key = state.views(), jax.random.key(0)
        return method.value_loss(nets.value, nets, batch, key)[0], method.critic_loss(nets.critic, nets, batch, key)[0]

    z = gap_by_hand(state, batch) / 1.5
    assert z.max() < 7
    errors = layer_by_hand(state.nets["critic"], np.concatenate([batch.observations, batch.actions], 1))[..., 0]
    errors = np.abs(errors - np.asarray(batch.rewards))
    huber = np.where(errors < 1, 0.5 * np.square(errors), errors - 0.5)
    value, critic = losses(state)
    scale = np.exp(-max(z.max(), -1))
    np.testing.assert_allclose(value, scale * np.mean(np.exp(z) - z - 1), rtol=1e-3)
    np.testing.assert_allclose(critic, huber.sum(0).mean(), rtol=1e-4)


@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
@pytest.mark.parametrize(
    "method",
    [
        IQL(hidden=(32,), learning_rate=5e-3, temperature=10.0, expectile=0.9),
        XQL(hidden=(32,), learning_rate=5e-3, temperature=10.0, gumbel_temperature=0.5),
    ],
    ids=lambda method: method.name,
)
def test_the_best_action_of_a_one_step_problem_is_found(method, spec):
    data, best = one_step(spec)

    @jax.jit
    @jax.vmap
    def run(state, key):
        keys = jax.random.split(key, 500)
        state, _ = jax.lax.scan(lambda state, key: method.update(state, data, key), state, keys)
        return [method.act(state, data.observations, key, explore=explore) for explore in (False, True)]

    greedy, tried = run(fresh(method, spec, 2, scale=0.3), jax.random.split(jax.random.key(0), 2))
    if spec.discrete:
        assert np.mean(greedy == best) > 0.85
        assert np.issubdtype(tried.dtype, np.integer)
        assert 0 <= tried.min() <= tried.max() < 3
    else:
        errors = np.sqrt(np.square(np.asarray(greedy) - best).mean((1, 2)))
        assert errors.max() < 0.5 * 0.6 * np.sqrt(1 / 3)  # half of an imitator's
        assert np.abs(tried).max() <= 1
        assert np.any(tried != greedy)


def test_the_policys_schedule_spans_the_plan_and_is_constant_where_learning_goes_online():
    assert IQL().for_plan([offline(50_000)], 1).actor_decay_steps == 50_000
    assert IQL().for_plan([offline(50_000), online(10)], 1).actor_decay_steps is None
    assert IQL(actor_decay_steps=7).for_plan([offline(50_000)], 1).actor_decay_steps == 7
    assert XQL().for_plan([offline(9)], 1) == XQL(actor_decay_steps=9)


def test_a_schedule_begins_again_when_another_run_goes_on_from_what_was_learned():
    method = IQL(hidden=(8,), actor_decay_steps=2)
    state = initial(method)
    learned = quick(method.update)(state, recorded(0, 16), jax.random.key(0))[0]
    state, lines = hand_over(learned, method, method, SPEC, jax.random.key(1))
    assert "actor: carried over, with its optimiser state" in lines
    adam, schedule = state.optimizers["actor"]
    assert int(schedule.count) == 0 < int(adam.count)
