from __future__ import annotations

from dataclasses import fields, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.control.cal_ql import CalQL
from headstart.control.cql import CQL, WEIGHT, DiscreteCQL
from headstart.control.dqn import DQN
from headstart.control.networks import Linear, evaluate
from headstart.control.sac import SAC
from headstart.control.screening import screened_values
from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.batch import Batch
from tests.control.tiny_problem import assert_close, assert_equal, initial, quick, recorded

SMALL = {"hidden": (8,), "action_samples": 3}


def common(method, kind):
    """A method of another kind with the same values in the fields that both have."""
    return {field.name: getattr(method, field.name) for field in fields(kind)}


def test_without_weight_it_is_sac():
    cql = CQL(**SMALL, conservative_weight=0.0, actor_learning_rate=3e-4, temperature_learning_rate=3e-4)
    sac = SAC(**common(cql, SAC))
    assert_equal(initial(cql), initial(sac))
    batch = recorded(1, 2, 16)
    states = [quick(method.learn)(initial(sac), batch, jax.random.key(3))[0] for method in (cql, sac)]
    assert_close(*states)


def test_the_corrected_log_sum_exp_is_the_integral():
    """Against the exact ∫ exp(-2a²) da over [-1, 1], with half the samples uniform and half from a Gaussian."""
    exact = np.log(2 * np.exp(-2 * np.linspace(-1, 1, 100_001) ** 2).mean())
    random, count = np.random.default_rng(0), 100_000
    actions = np.concatenate([random.uniform(-1, 1, count), random.normal(0.2, 0.7, count)])
    log_gaussian = -0.5 * ((actions[count:] - 0.2) / 0.7) ** 2 - np.log(0.7 * np.sqrt(2 * np.pi))
    log_densities = np.concatenate([np.full(count, np.log(0.5)), log_gaussian])
    values = np.where(np.abs(actions) <= 1, -2 * actions**2, -np.inf)
    gap = CQL().conservative_gap(
        jnp.asarray(values[None, :, None]), jnp.ones((1, 1)), jnp.asarray(log_densities[:, None])
    )
    # The estimate is of the integral times the number of samples, for want of a mean; the recorded value is 1.
    assert float(gap[0, 0]) + 1 - np.log(2 * count) == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("screening", ["float32", "bfloat16"])
def test_a_gradient_through_few_sampled_actions_is_the_same_on_average(screening):
    whole = CalQL(**SMALL)
    few = replace(whole, gradient_actions=2, screening=screening)
    state, batch = initial(whole), recorded(1, 4)

    @quick
    def gradients():
        actions, log_densities = whole.sample_actions(state.views(), batch, jax.random.key(0))

        def gap(critics, method, key):
            values = method.bound(method.sampled_values(critics, batch, actions, log_densities, key), batch)
            return jnp.mean(method.conservative_gap(values, jnp.zeros((2, 4)), log_densities))

        critics, keys = state.nets["critic"], jax.random.split(jax.random.key(1), 4000)
        exact = jax.value_and_grad(gap)(critics, whole, keys[0])
        drawn = jax.vmap(lambda key: jax.value_and_grad(gap)(critics, few, key))(keys)
        return exact, jax.tree.map(lambda leaf: jnp.mean(leaf, 0), drawn), drawn[1].trunk.layers[0].bias.std(0).max()

    exact, average, spread = gradients()
    assert_close(exact, average, rtol=0, atol=0.006)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(exact[1])) > 0.1
    assert float(spread) > 0.01


@pytest.mark.parametrize("layer_norm", [False, True])
def test_screening_keeps_the_shares_of_actions_whose_values_are_in_the_hundreds(layer_norm):
    """With critics that prefer some actions by several nats, as trained ones do."""
    method = CQL(hidden=(256, 256), layer_norm=layer_norm, gradient_actions=1, screening="bfloat16")
    critics = initial(method).nets["critic"]
    last = critics.trunk.layers[-1]
    steep = Linear(last.weight * 40, last.bias + 300)
    critics = eqx.tree_at(lambda critics: critics.trunk.layers[-1], critics, steep)
    batch, actions = recorded(1, 64), jax.random.uniform(jax.random.key(0), (30, 64, 2), minval=-1)
    exact, rounded = (
        evaluate(critics, batch.observations, actions),
        screened_values(critics, batch.observations, actions),
    )
    assert exact.shape == rounded.shape
    assert float(exact.std(1).mean()) > 1
    assert 0 < float(jnp.abs(rounded - exact).max()) < 0.003 * float(exact.max())
    distance = 0.5 * jnp.abs(jax.nn.softmax(exact, 1) - jax.nn.softmax(rounded, 1)).sum(1)
    assert float(distance.mean()) < 0.02
    assert float(distance.max()) < 0.1


def test_screening_without_drawn_actions_is_refused():
    with pytest.raises(UsageError, match="gradient_actions"):
        initial(CQL(**SMALL, screening="bfloat16"))


def test_without_correction_the_recorded_action_joins_the_mean():
    sampled, recorded_value = jnp.array([[[1.0], [2.0]]]), jnp.array([[3.0]])
    gap = CQL(importance_correction=False).conservative_gap(sampled, recorded_value, jnp.zeros((2, 1)))
    assert float(gap[0, 0]) == pytest.approx(np.log(np.mean(np.exp([1.0, 2.0, 3.0]))) - 3.0, abs=1e-5)


def test_sampled_actions_come_with_their_densities():
    method = CQL(**SMALL)
    batch = recorded(1, 5)

    @quick
    def sample(state):
        actions, log_densities = method.sample_actions(state.views(), batch, jax.random.key(0))
        here = state.nets["actor"](batch.observations).log_prob(actions[3:6])
        later = state.nets["actor"](batch.next_observations).log_prob(actions[6:])
        return actions, log_densities, jnp.concatenate([jnp.full((3, 5), np.log(0.25)), here, later])

    actions, log_densities, expected = sample(initial(method))
    assert actions.shape == (9, 5, 2)
    np.testing.assert_allclose(log_densities, expected, atol=2e-3)


def test_cal_ql_without_a_bound_is_cql_and_with_one_pushes_down_no_further():
    cal_ql = CalQL(**SMALL)
    cql = CQL(**common(cal_ql, CQL))
    batch = recorded(1, 16)
    unbounded = batch._replace(returns_to_go=np.full(16, -np.inf, np.float32))
    state = initial(cal_ql)
    loss = quick(lambda batch: cal_ql.critic_loss(state.nets["critic"], state.views(), batch, jax.random.key(3)))
    plain = quick(lambda batch: cql.critic_loss(state.nets["critic"], state.views(), batch, jax.random.key(3)))
    assert_equal(loss(unbounded), plain(unbounded))
    high = loss(batch._replace(returns_to_go=np.full(16, 50.0, np.float32)))[1]["value/conservative_gap"]
    assert high > 50 - 10 > plain(batch)[1]["value/conservative_gap"]


def test_cal_ql_bounds_the_policys_actions_and_uniform_ones_only_if_asked():
    batch = recorded(1, 2)._replace(returns_to_go=np.array([0.5, -0.5], np.float32))
    values = jnp.zeros((1, 9, 2))
    np.testing.assert_array_equal(CalQL(**SMALL).bound(values, batch)[0, :, 0], [0, 0, 0] + [0.5] * 6)
    np.testing.assert_array_equal(CalQL(**SMALL).bound(values, batch)[0, :, 1], np.zeros(9))
    np.testing.assert_array_equal(CalQL(**SMALL, bound_uniform_actions=True).bound(values, batch)[0, :, 0], [0.5] * 9)
    with pytest.raises(DataError, match="returns_to_go=True"):
        CalQL().bound(values, batch._replace(returns_to_go=None))


def test_the_weight_rises_while_the_gap_is_above_its_target_and_falls_below():
    method = CQL(**SMALL, target_gap=-50.0)
    state = initial(method)
    assert state.nets[WEIGHT]() == pytest.approx(method.conservative_weight)

    @quick
    def weights():
        steps = [method, replace(method, target_gap=50.0)]
        after = [m.step(state, "critic", recorded(1, 16), jax.random.key(0))[0] for m in steps]
        return [step.nets[WEIGHT]() for step in after]

    above, below = weights()
    assert above > method.conservative_weight > below


def test_actions_that_were_never_recorded_are_not_taken():
    """Recorded actions reach 0.2 and reward is the action itself: SAC goes to 1, CQL stays."""

    def learned(method):
        def step(state, key):
            random = jax.random.uniform(key, (64, 5))
            batch = recorded(0, 64, terminated=True)._replace(
                observations=random[:, :3], actions=random[:, 3:] * 1.2 - 1
            )
            rewards = batch.actions.sum(-1)
            return method.update(state, batch._replace(rewards=rewards, returns_to_go=rewards), key)[0], None

        run = quick(lambda state: jax.lax.scan(step, state, jax.random.split(jax.random.key(1), 400))[0])
        state = run(initial(method))
        return float(method.act(state, jnp.full((4, 3), 0.5), jax.random.key(0), explore=False).mean())

    sac = SAC(hidden=(32,), learning_rate=3e-3, initial_temperature=0.01)
    rates = {"actor_learning_rate": 3e-3, "temperature_learning_rate": 3e-3}
    cql = CQL(**common(sac, SAC), action_samples=4, **rates)
    assert learned(sac) > 0.8
    assert -0.6 < learned(cql) < 0.3


def test_a_subset_of_critics_carries_the_conservative_term_at_the_same_weight():
    method = CQL(**SMALL, critics=4, critic_subset=1)
    state = initial(method)
    same = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:1], leaf.shape), state.nets["critic"])
    state = state.replace(nets=state.nets | {"critic": same}, targets={"critic": same})
    whole = CQL(**SMALL, critics=4)
    losses = quick(
        lambda: [m.critic_loss(same, state.views(), recorded(1, 16), jax.random.key(0))[0] for m in (method, whole)]
    )()
    assert losses[0] == pytest.approx(float(losses[1]), rel=1e-5)


def test_discrete_choices_that_were_never_recorded_are_not_taken():
    """Two contexts, three choices; the third was never recorded, and the better recorded one is the second."""
    spec = Spec(Box.uniform((2,), 0, 1), Discrete(3))
    contexts, actions = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]], np.array([0, 1, 0, 1], np.int32)
    rewards = np.array([0.5, 1.0, 0.0, 1.0], np.float32)
    batch = Batch(contexts, actions, rewards, contexts, np.ones(4, np.float32), np.full(4, 0.9, np.float32))
    fields = {"hidden": (), "learning_rate": 0.05}

    def learned(method):
        state = method.init(jax.random.key(0), spec)
        bias = jax.tree.map(lambda leaf: leaf.at[..., 2].set(3.0), state.nets["critic"])
        state = state.replace(nets={"critic": bias}, targets={"critic": bias})
        run = quick(
            lambda state: jax.lax.scan(
                lambda s, k: method.update(s, batch, k), state, jax.random.split(jax.random.key(0), 300)
            )
        )
        return method.act(run(state)[0], jnp.eye(2), jax.random.key(0), explore=False).tolist()

    assert learned(DQN(**fields)) == [2, 2]
    assert learned(DiscreteCQL(**fields, conservative_weight=0.5)) == [1, 1]
