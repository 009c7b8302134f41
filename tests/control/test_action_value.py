"""Methods for discrete actions, on a chain small enough to solve exactly: go right four times, then it pays 1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.control.bcq import BCQ
from headstart.control.behavior_value import BVE, MCE
from headstart.control.crr import CRR
from headstart.control.dqn import DQN
from headstart.control.qr_dqn import QRDQN, quantile_huber_loss
from headstart.control.rem import REM
from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.batch import Batch

PLACES, DISCOUNT = 4, 0.9
SPEC = Spec(Box.uniform((PLACES,), 0, 1), Discrete(2))
TABULAR = {"hidden": (), "learning_rate": 0.03, "target_period": 10}


def solve(next_value):
    """Q of the chain by iterating ``next_value(q)``, the value of each place."""
    q = np.zeros((PLACES + 1, 2))
    for _ in range(500):
        v = next_value(q)
        for place in range(PLACES):
            q[place, 0] = DISCOUNT * v[max(place - 1, 0)]
            q[place, 1] = float(place == PLACES - 1) + DISCOUNT * (v[place + 1] if place < PLACES - 1 else 0)
    return q[:PLACES]


OPTIMAL = solve(lambda q: q.max(1))
BEHAVIOR = solve(lambda q: q @ [1 / 3, 2 / 3])


def batch_of(*columns):
    """A batch in the types that replays give."""
    return Batch(*(jnp.asarray(c, jnp.int32 if c.dtype.kind == "i" else jnp.float32) for c in columns))


def chain() -> Batch:
    """Every transition, in the proportions of a behaviour that goes right two times in three."""
    rows = []
    for place in range(PLACES):
        for action in (0, 1, 1):
            for next_action in (0, 1, 1):
                after = min(max(place + 2 * action - 1, 0), PLACES - 1)
                end = place == PLACES - 1 and action == 1
                rows.append((place, action, float(end), after, float(end), BEHAVIOR[place, action], next_action))
    place, action, reward, after, end, returns, next_action = (np.array(column) for column in zip(*rows))
    eye = np.eye(PLACES)
    discounts = np.full(len(rows), DISCOUNT)
    return batch_of(eye[place], action, reward, eye[after], end, discounts, returns, next_action)


def fresh(method, *leading):
    """A state of random networks, and of targets that differ from them; drawn in NumPy, which compiles nothing."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda key: method.init(key, SPEC), jax.random.key(0))

    def normal(leaf):
        return jnp.asarray(rng.normal(size=(*leading, *leaf.shape)), leaf.dtype)

    return jax.tree.map(lambda leaf: jnp.zeros((*leading, *leaf.shape), leaf.dtype), shapes).replace(
        nets=jax.tree.map(normal, shapes.nets), targets=jax.tree.map(normal, shapes.targets)
    )


def learn(method, batch, updates, seeds=2):
    """States of several seeds after that many updates in one compiled loop, with the last metrics."""

    @jax.jit
    @jax.vmap
    def run(state, key):
        keys = jax.random.split(key, updates)
        return jax.lax.scan(lambda state, key: method.update(state, batch, key), state, keys)

    return run(fresh(method, seeds), jax.random.split(jax.random.key(0), seeds))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (DQN(**TABULAR), OPTIMAL),
        (QRDQN(**TABULAR, quantiles=4), OPTIMAL),
        (REM(**TABULAR, heads=3), OPTIMAL),
        (BCQ(**TABULAR), OPTIMAL),
        (CRR(**TABULAR), None),
        (BVE(**TABULAR | {"target_period": 1}), BEHAVIOR),
        (MCE(**TABULAR), BEHAVIOR),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_every_method_solves_the_chain(method, expected):
    states, metrics = learn(method, chain(), updates=700)

    @jax.jit
    @jax.vmap
    def look(state):
        places = jnp.eye(PLACES)
        return method.preferences(state, places), method.act(state, places, jax.random.key(0), explore=False)

    values, greedy = look(states)
    assert np.array_equal(greedy, np.ones((2, PLACES)))
    assert all(np.all(np.isfinite(values)) for values in metrics.values())
    if expected is not None:
        np.testing.assert_allclose(values, np.broadcast_to(expected, values.shape), atol=0.03)


def random_batch(rows=6):
    rng = np.random.default_rng(7)
    here, later = rng.normal(size=(2, rows, PLACES))
    return batch_of(
        here,
        rng.integers(0, 2, rows),
        rng.normal(size=rows),
        later,
        (np.arange(rows) % 3 == 0).astype(float),
        np.full(rows, DISCOUNT),
    )


def linear(net, observations):
    """What a network without hidden layers gives, in NumPy."""
    layer = net.trunk.layers[0]
    return np.asarray(observations) @ np.asarray(layer.weight) + np.asarray(layer.bias)


def bootstrapped(batch, value):
    return np.asarray(batch.rewards) + DISCOUNT * (1 - np.asarray(batch.terminations)) * value


def at(values, choices):
    return np.take_along_axis(values, np.asarray(choices)[:, None], 1)[:, 0]


@pytest.mark.parametrize("double", [True, False])
def test_dqn_target_by_hand(double):
    method, batch = DQN(hidden=(), double=double), random_batch()
    state = fresh(method)
    online, target = (linear(group["critic"], batch.next_observations) for group in (state.nets, state.targets))
    assert np.any(online.argmax(1) != target.argmax(1))
    value = at(target, online.argmax(1)) if double else target.max(1)
    found = jax.jit(lambda state: method.target(state.views(), batch, jax.random.key(0)))(state)
    np.testing.assert_allclose(found, bootstrapped(batch, value), rtol=1e-5)


def test_targets_are_copied_every_period():
    method = DQN(hidden=(), target_period=3)
    state = fresh(method)
    move = jax.jit(lambda updates: method.move_targets(state.replace(updates=updates)).targets["critic"])
    for updates, expected in ((2, state.targets), (3, state.nets), (4, state.targets)):
        assert jax.tree.all(jax.tree.map(np.array_equal, move(updates), expected["critic"]))


def test_exploration_is_random_at_first_and_greedy_later():
    method = DQN(hidden=(), initial_epsilon=1.0, final_epsilon=0.1, epsilon_decay_updates=100)
    state = fresh(method)
    observations = np.ones((4000, PLACES), np.float32)
    greedy = int(linear(state.nets["critic"], observations[0]).argmax())

    @jax.jit
    def other_choices(updates):
        now = state.replace(updates=updates)
        return jnp.mean(method.act(now, observations, jax.random.key(1), explore=True) != greedy)

    assert float(other_choices(0)) == pytest.approx(0.5, abs=0.03)
    assert float(other_choices(50)) == pytest.approx(0.55 / 2, abs=0.03)
    assert float(other_choices(10_000)) == pytest.approx(0.1 / 2, abs=0.015)


def test_quantile_loss_is_least_at_the_quantiles():
    samples = np.random.default_rng(0).exponential(size=(1, 4001))
    quantiles = np.quantile(samples, [1 / 6, 3 / 6, 5 / 6])[None]
    slope = jax.jit(jax.grad(lambda q: jnp.sum(quantile_huber_loss(q, samples, delta=1e-4))))(quantiles)
    np.testing.assert_allclose(slope, np.zeros((1, 3)), atol=1e-3)


def test_one_quantile_costs_half_the_huber_loss():
    loss = jax.jit(quantile_huber_loss)(np.zeros((1, 1)), np.array([[3.0]]), 1.0)
    assert float(loss[0]) == pytest.approx(0.5 * (3 - 0.5))


def test_rem_with_one_head_is_dqn():
    batch, key = random_batch(), jax.random.key(3)
    losses = [
        jax.jit(lambda state, method=method: method.critic_loss(state.nets["critic"], state.views(), batch, key)[0])(
            state
        )
        for method in (REM(hidden=(), heads=1), DQN(hidden=()))
        for state in [fresh(method)]
    ]
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_rem_mixes_network_and_target_alike():
    method, batch, key = REM(hidden=(), heads=5), random_batch(), jax.random.key(3)
    state = fresh(method)
    weights = np.asarray(jax.random.uniform(key, (5,)))
    online, target = (
        np.einsum(
            "h,bhc->bc", weights / weights.sum(), linear(group["critic"], batch.next_observations).reshape(-1, 5, 2)
        )
        for group in (state.nets, state.targets)
    )
    found = jax.jit(lambda state: method.target(state.views(), batch, key))(state)
    np.testing.assert_allclose(found, bootstrapped(batch, at(target, online.argmax(1))), rtol=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_bcq_lies_between_dqn_and_imitation(threshold):
    method, batch = BCQ(hidden=(), threshold=threshold), random_batch(40)
    state = fresh(method)
    values, logits = (linear(state.nets[name], batch.next_observations) for name in ("critic", "behavior"))
    assert np.any(values.argmax(1) != logits.argmax(1))
    allowed = np.exp(logits - logits.max(1, keepdims=True)) >= threshold
    best = np.where(allowed, values, -np.inf).argmax(1)
    if threshold == 0:
        assert np.array_equal(best, values.argmax(1))
    if threshold == 1:
        assert np.array_equal(best, logits.argmax(1))

    @jax.jit
    def choices(state, key):
        greedy = method.act(state, batch.next_observations, key, explore=False)
        return method.next_choice(state.views(), batch, key), greedy

    for found in choices(state, jax.random.key(0)):
        assert np.array_equal(found, best)


def test_crr_keeps_choices_that_beat_the_policys_own():
    method, batch = CRR(hidden=()), random_batch(40)
    state = fresh(method)
    certain = jax.tree.map(lambda leaf: 1e4 * leaf, state.nets["actor"])  # so that its samples are its mode
    values, logits = linear(state.nets["critic"], batch.observations), linear(certain, batch.observations)
    kept = at(values, batch.actions) > at(values, logits.argmax(1))
    assert 0 < kept.sum() < 40
    loss, metrics = jax.jit(lambda actor: method.actor_loss(actor, state.views(), batch, jax.random.key(0)))(certain)
    log_probs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    assert float(metrics["policy/kept"]) == pytest.approx(kept.mean())
    np.testing.assert_allclose(loss, -np.mean(np.where(kept, at(log_probs, batch.actions), 0.0)), rtol=1e-4)


@pytest.mark.parametrize(("method", "column"), [(BVE(hidden=()), "next_actions"), (MCE(hidden=()), "returns_to_go")])
def test_missing_columns_are_named(method, column):
    with pytest.raises(DataError, match=column):
        jax.eval_shape(lambda key: method.update(method.init(key, SPEC), random_batch(), key), jax.random.key(0))


@pytest.mark.parametrize("make", [DQN, CRR, BVE])
def test_continuous_actions_are_refused(make):
    with pytest.raises(UsageError, match="discrete actions"):
        make().init(jax.random.key(0), Spec(Box.uniform((3,), -1, 1), Box.uniform((2,), -1, 1)))
