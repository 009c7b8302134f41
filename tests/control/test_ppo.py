from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

from headstart.control.export import export_onnx
from headstart.control.plan import online
from headstart.control.policy import Policy
from headstart.control.ppo import PPO, DiscretePPO, Rollout, Statistics
from headstart.control.preprocessing import Preprocessor
from headstart.core.errors import UsageError
from headstart.core.specs import Box, Discrete, Spec
from tests.control.tiny_problem import SPEC, initial, quick, regret, reward

CHOICES = Spec(Box.uniform((3,), -1, 1), Discrete(4))


def by_hand() -> Rollout:
    """Five steps of one world: a termination after the second, a truncation after the fourth."""

    def column(*values):
        return jnp.asarray(values)[:, None]

    return Rollout(
        observations=jnp.zeros((5, 1, 3)),
        actions=jnp.zeros((5, 1, 2)),
        log_probs=jnp.zeros((5, 1)),
        values=column(1.0, 2.0, 3.0, 4.0, 5.0),
        rewards=column(0.1, 0.2, 0.3, 0.4, 0.5),
        terminations=column(False, True, False, False, False),
        truncations=column(False, False, False, True, False),
        next_values=column(2.0, 9.0, 4.0, 7.0, 6.0),
    )


def test_advantages_of_a_rollout_with_a_termination_and_a_truncation():
    method = PPO(discount=0.9, trace_decay=0.5)
    errors = [0.1 + 0.9 * 2 - 1, 0.2 - 2, 0.3 + 0.9 * 4 - 3, 0.4 + 0.9 * 7 - 4, 0.5 + 0.9 * 6 - 5]
    expected = [errors[0] + 0.45 * errors[1], errors[1], errors[2] + 0.45 * errors[3], errors[3], errors[4]]
    np.testing.assert_allclose(method.advantages(by_hand())[:, 0], expected, rtol=1e-5)


def test_discounted_returns_begin_again_with_every_episode():
    returns = PPO(discount=0.5).discounted_returns(by_hand())[:, 0]
    np.testing.assert_allclose(returns, [0.1, 0.25, 0.3, 0.55, 0.5], rtol=1e-6)


def test_at_ratio_one_the_surrogate_has_the_plain_policy_gradient_and_far_from_it_none():
    log_probs, advantages = jnp.array([-0.3, -1.2, 0.4]), jnp.array([1.0, -2.0, 0.5])
    slope = jax.grad(PPO().policy_loss)
    np.testing.assert_allclose(slope(log_probs, log_probs, advantages), -advantages / 3, rtol=1e-6)
    moved = log_probs + jnp.array([0.5, -0.5, -0.5])
    np.testing.assert_allclose(slope(moved, log_probs, advantages), [0, 0, -0.5 * np.exp(-0.5) / 3], rtol=1e-5)


def test_values_move_no_further_than_the_clip():
    slope = jax.grad(PPO(clip=0.2).value_loss)
    np.testing.assert_allclose(slope(jnp.array([0.5, 0.1]), jnp.zeros(2), jnp.array([0.9, 0.9])), [0, -0.4], atol=1e-6)


def test_statistics_are_those_of_all_rows_at_once():
    rows = np.random.default_rng(0).normal(3, 2, (300, 4)).astype(np.float32)
    statistics = Statistics.empty((4,)).including(jnp.asarray(rows[:100])).including(jnp.asarray(rows[100:]))
    np.testing.assert_allclose(statistics.mean, rows.mean(0), rtol=1e-4)
    np.testing.assert_allclose(statistics.variance, rows.var(0), rtol=1e-4)
    assert float(jnp.max(jnp.abs(statistics.standardize(jnp.full(4, 1e6))))) == 10


def collect(method: PPO, state, key, outcome, worlds: int = 8) -> Rollout:
    """One rollout of one-step episodes."""

    def step(_, key):
        observe_key, act_key, next_key = jax.random.split(key, 3)
        observations = jax.random.uniform(observe_key, (worlds, 3), minval=-1)
        chosen = method.choose(state, observations, act_key)
        ended = jnp.ones(worlds, bool)
        after = jax.random.uniform(next_key, (worlds, 3), minval=-1)
        rewards = outcome(observations, chosen.actions)
        return None, Rollout(observations, *chosen, rewards, ended, ~ended, method.value(state, after))

    return jax.lax.scan(step, None, jax.random.split(key, method.rollout_steps))[1]


def rounds(method: PPO, outcome, count: int):
    def one(state, key):
        collect_key, learn_key = jax.random.split(key)
        return method.update_from_rollout(state, collect(method, state, collect_key, outcome), learn_key)

    return lambda state, key: jax.lax.scan(one, state, jax.random.split(key, count))


def test_learns_continuous_actions_for_several_seeds_at_once():
    method = PPO(rollout_steps=32, minibatches=4, epochs=4, hidden=(32,), learning_rate=3e-3)
    learn = rounds(method, lambda observations, actions: reward(observations, jnp.clip(actions, -1, 1)), 60)
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), initial(method), initial(method, 1))
    states, metrics = quick(jax.vmap(learn))(states, jax.random.split(jax.random.key(0)))
    for index in range(2):
        assert regret(method, jax.tree.map(lambda leaf, index=index: leaf[index], states)) < 0.05
    assert all(bool(jnp.all(jnp.isfinite(values))) for values in metrics.values())
    assert int(states.updates[0]) == 60 * 16
    assert int(states.nets["observations"].count[0]) == 60 * 32 * 8


def test_learns_discrete_actions():
    method = DiscretePPO(rollout_steps=32, hidden=(32,), learning_rate=3e-3)

    def outcome(observations, actions):
        return (actions == jnp.where(observations[:, 0] > 0, 2, 1)).astype(jnp.float32)

    state, _ = quick(rounds(method, outcome, 40))(method.init(jax.random.key(0), CHOICES), jax.random.key(1))
    observations = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (256, 3)), jnp.float32)
    greedy = method.act(state, observations, jax.random.key(0), explore=False)
    assert float(outcome(observations, greedy).mean()) > 0.95


def test_rollouts_hold_what_was_chosen_before_clipping():
    method = PPO(hidden=(8,))
    state = initial(method)
    wide = state.nets["actor"].__class__(state.nets["actor"].trunk, jnp.full(2, 2.0))
    state = state.replace(nets=state.nets | {"actor": wide})
    chosen = method.choose(state, jnp.zeros((64, 3)), jax.random.key(0))
    assert float(jnp.max(jnp.abs(chosen.actions))) > 1
    acted = method.act(state, jnp.zeros((64, 3)), jax.random.key(0), explore=True)
    np.testing.assert_allclose(acted, jnp.clip(chosen.actions, -1, 1), rtol=1e-6)
    np.testing.assert_allclose(chosen.log_probs, wide(jnp.zeros((64, 3))).log_prob(chosen.actions), rtol=1e-5)


def test_the_step_size_falls_to_zero_over_the_annealed_rollouts():
    optimizer = PPO(annealing_rollouts=2, epochs=1, minibatches=1).optimizer("networks")
    gradient, moves = jnp.array(0.1), []
    memory = optimizer.init(gradient)
    for _ in range(3):
        change, memory = optimizer.update(gradient, memory)
        moves.append(-float(change))
    np.testing.assert_allclose(moves, [3e-4, 1.5e-4, 0], rtol=1e-3)


def test_exported_policies_scale_observations_and_clip_actions_alike(tmp_path):
    method = PPO(hidden=(8,))
    state = initial(method)
    trunk = jax.tree.map(lambda leaf: leaf * 60, state.nets["actor"].trunk)
    nets = state.nets | {
        "actor": state.nets["actor"].__class__(trunk, jnp.zeros(2)),
        "observations": Statistics(jnp.array([1.0, -2.0, 0.0]), jnp.array([4.0, 0.01, 1e-12]), jnp.array(9.0)),
    }
    policy = Policy(method, state.replace(nets=nets), Preprocessor.identity(SPEC))
    export_onnx(policy, tmp_path / "policy.onnx")
    observations = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx")
    actions = session.run(None, {"observations": observations})[0]
    np.testing.assert_allclose(actions, policy(observations), atol=1e-5)
    assert np.abs(actions).max() == 1 > np.abs(actions).min()


def test_a_rollout_that_does_not_divide_is_refused():
    with pytest.raises(UsageError, match="a rollout of 5 steps does not divide into 32 minibatches"):
        PPO().update_from_rollout(initial(PPO(hidden=(8,))), by_hand(), jax.random.key(0))


def test_defaults_for_discrete_actions_refuse_continuous_ones():
    with pytest.raises(UsageError, match="ppo-discrete needs discrete actions"):
        DiscretePPO().check(SPEC)


def test_the_step_size_is_annealed_over_the_rollouts_of_the_plan():
    assert PPO().for_plan([online(1_000_000)], 1).annealing_rollouts == 489
    assert DiscretePPO().for_plan([online(500_000)], 4).annealing_rollouts == 977
    assert PPO(annealing_rollouts=None).for_plan([online(10)], 1).annealing_rollouts is None
    assert PPO(annealing_rollouts=488).for_plan([online(10)], 1).annealing_rollouts == 488
