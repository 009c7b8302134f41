"""TD3, TD3+BC and ReBRAC: their losses by hand, and a one-step problem whose best action is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.control.rebrac import ReBRAC
from headstart.control.td3 import TD3
from headstart.control.td3_bc import TD3BC
from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.batch import Batch

SPEC = Spec(Box.uniform((3,), -1, 1), Box.uniform((2,), -1, 1))
DISCOUNT = 0.9


def random_batch(rows=5):
    rng = np.random.default_rng(7)
    here, later = rng.normal(size=(2, rows, 3))
    actions, next_actions = rng.uniform(-1, 1, size=(2, rows, 2))
    columns = (here, actions, rng.normal(size=rows), later, np.arange(rows) % 2.0, np.full(rows, DISCOUNT))
    return Batch(*(jnp.asarray(c, jnp.float32) for c in columns), next_actions=jnp.asarray(next_actions, jnp.float32))


def fresh(method, *leading, scale=1.0):
    """A state of random networks, and of targets that differ from them; drawn in NumPy, which compiles nothing."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda key: method.init(key, SPEC), jax.random.key(0))

    def normal(leaf):
        return jnp.asarray(scale * rng.normal(size=(*leading, *leaf.shape)), leaf.dtype)

    return jax.tree.map(lambda leaf: jnp.zeros((*leading, *leaf.shape), leaf.dtype), shapes).replace(
        nets=jax.tree.map(normal, shapes.nets), targets=jax.tree.map(normal, shapes.targets)
    )


def act_by_hand(actor, observations):
    layer = actor.trunk.layers[0]
    return np.tanh(np.asarray(observations) @ np.asarray(layer.weight) + np.asarray(layer.bias))


def value_by_hand(critics, observations, actions):
    """Values of an ensemble of networks without hidden layers, [critics, batch]."""
    layer, inputs = critics.trunk.layers[0], np.concatenate([observations, actions], -1)
    return np.einsum("bi,cio->cb", inputs, np.asarray(layer.weight)) + np.asarray(layer.bias)


def losses(method, state, batch):
    """Losses of the critics and of the policy, compiled."""

    @jax.jit
    def run(state):
        nets, key = state.views(), jax.random.key(0)
        critic = method.critic_loss(nets.critic, nets, batch, key)[0]
        return critic, method.actor_loss(nets.actor, nets, batch, key)[0]

    return run(state)


def parts(state, batch):
    """What every loss here is made of: the policy's actions and values now, and the target's next ones."""
    actions = act_by_hand(state.nets["actor"], batch.observations)
    later = act_by_hand(state.targets["actor"], batch.next_observations)
    values = value_by_hand(state.nets["critic"], batch.observations, actions)
    next_values = value_by_hand(state.targets["critic"], batch.next_observations, later).min(0)
    return actions, later, values, next_values


def critic_loss_by_hand(state, batch, next_values):
    target = np.asarray(batch.rewards) + DISCOUNT * (1 - np.asarray(batch.terminations)) * next_values
    recorded = value_by_hand(state.nets["critic"], batch.observations, batch.actions)
    return np.square(recorded - target).sum(0).mean()


PLAIN = {"hidden": (), "target_noise": 0.0}


def test_td3_losses_by_hand():
    method, batch = TD3(**PLAIN), random_batch()
    state = fresh(method)
    _, _, values, next_values = parts(state, batch)
    critic, actor = losses(method, state, batch)
    np.testing.assert_allclose(critic, critic_loss_by_hand(state, batch, next_values), rtol=1e-5)
    np.testing.assert_allclose(actor, -values[0].mean(), rtol=1e-5)


def test_td3_bc_losses_by_hand():
    method, batch = TD3BC(**PLAIN), random_batch()
    state = fresh(method)
    actions, _, values, next_values = parts(state, batch)
    critic, actor = losses(method, state, batch)
    distance = np.square(actions - batch.actions).mean()
    np.testing.assert_allclose(critic, critic_loss_by_hand(state, batch, next_values), rtol=1e-5)
    np.testing.assert_allclose(actor, distance - 2.5 * values[0].mean() / np.abs(values[0]).mean(), rtol=1e-5)


def test_rebrac_losses_by_hand():
    method, batch = ReBRAC(**PLAIN, actor_penalty=0.3, critic_penalty=0.7), random_batch()
    state = fresh(method)
    actions, later, values, next_values = parts(state, batch)
    critic, actor = losses(method, state, batch)
    next_values = next_values - 0.7 * np.square(later - batch.next_actions).sum(1)
    lower, distance = values.min(0), np.square(actions - batch.actions).sum(1).mean()
    np.testing.assert_allclose(critic, critic_loss_by_hand(state, batch, next_values), rtol=1e-5)
    np.testing.assert_allclose(actor, 0.3 * distance - lower.mean() / np.abs(lower).mean(), rtol=1e-5)


def test_rebrac_without_penalties_is_td3():
    options = {"hidden": (4,), "critics": 1, "layer_norm": False}
    free = ReBRAC(**options, actor_penalty=0.0, critic_penalty=0.0, normalize_values=False)
    state, batch = fresh(free), random_batch()
    np.testing.assert_array_equal(losses(free, state, batch), losses(TD3(**options), state, batch))


def test_policy_and_targets_wait_for_the_critics():
    method, batch = TD3(hidden=(), policy_delay=2, learning_rate=0.01), random_batch()
    update = jax.jit(method.update)
    start = fresh(method)
    first, _ = update(start, batch, jax.random.key(0))
    second, metrics = update(first, batch, jax.random.key(1))

    def changed(a, b):
        return not jax.tree.all(jax.tree.map(np.array_equal, a, b))

    assert changed(start.nets["critic"], first.nets["critic"])
    assert not changed((start.nets["actor"], start.targets), (first.nets["actor"], first.targets))
    for name in ("actor", "critic"):
        assert changed(first.nets[name], second.nets[name])
        assert changed(first.targets[name], second.targets[name])
    assert int(second.updates) == 2
    assert np.isfinite(metrics["loss/actor"])


def test_target_noise_is_clipped_and_actions_stay_in_bounds():
    method, batch = TD3(hidden=(), target_noise=10.0, target_noise_clip=0.5), random_batch(500)
    state = fresh(method)
    later = jax.jit(lambda state: method.next_actions(state.views(), batch, jax.random.key(0)))(state)
    shift = np.asarray(later) - act_by_hand(state.targets["actor"], batch.next_observations)
    assert np.abs(later).max() == 1
    assert np.abs(shift).max() == pytest.approx(0.5, abs=1e-5)

    noisy = TD3(hidden=(), exploration_noise=0.1)
    explore = jax.jit(noisy.act, static_argnames="explore")
    greedy, tried = (explore(state, batch.observations, jax.random.key(1), explore=e) for e in (False, True))
    np.testing.assert_allclose(greedy, act_by_hand(state.nets["actor"], batch.observations), atol=1e-5)
    inside = np.abs(greedy) < 0.6
    assert np.abs(tried).max() <= 1
    assert np.std((tried - greedy)[inside]) == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize(
    "method",
    [
        TD3(hidden=(32,), learning_rate=5e-3),
        TD3BC(hidden=(32,), learning_rate=5e-3),
        ReBRAC(hidden=(32,), learning_rate=5e-3),
    ],
    ids=lambda method: method.name,
)
def test_the_best_action_of_a_one_step_problem_is_found(method):
    rng = np.random.default_rng(0)
    observations, actions = rng.uniform(-1, 1, (256, 3)), rng.uniform(-1, 1, (256, 2))
    best = 0.6 * observations[:, :2]
    rewards = 1 - 4 * np.square(actions - best).sum(1)
    columns = (observations, actions, rewards, observations, np.ones(256), np.full(256, DISCOUNT))
    data = Batch(*(jnp.asarray(c, jnp.float32) for c in columns), next_actions=jnp.asarray(actions, jnp.float32))

    @jax.jit
    @jax.vmap
    def run(state, key):
        keys = jax.random.split(key, 600)
        state, _ = jax.lax.scan(lambda state, key: method.update(state, data, key), state, keys)
        return method.act(state, data.observations, key, explore=False)

    found = run(fresh(method, 2, scale=0.3), jax.random.split(jax.random.key(0), 2))
    assert found.shape == (2, 256, 2)
    errors = np.sqrt(np.square(np.asarray(found) - best).mean((1, 2)))
    imitator = 0.6 * np.sqrt(1 / 3)  # how far off 0, the mean of these actions, is
    assert errors.max() < 0.45 * imitator


def test_bad_batches_and_worlds_are_refused():
    method = ReBRAC(hidden=())
    batch = random_batch()._replace(next_actions=None)
    with pytest.raises(DataError, match="next_actions"):
        jax.eval_shape(lambda state: method.update(state, batch, jax.random.key(0)), fresh(method))
    with pytest.raises(UsageError, match="continuous"):
        method.init(jax.random.key(0), Spec(Box.uniform((3,), -1, 1), Discrete(2)))
