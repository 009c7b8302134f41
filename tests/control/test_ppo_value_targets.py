"""PPO with value targets of their own: plain PPO where both λ agree, known targets where they do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.control.ppo import PPO, Rollout
from headstart.control.ppo_value_targets import PPOWithValueTargets
from headstart.core.errors import UsageError
from headstart.core.specs import Box, Discrete, Spec

SPEC = Spec(Box((3,), (-1.0,) * 3, (1.0,) * 3), Discrete(2))
FIELDS = {"hidden": (8,), "rollout_steps": 8, "minibatches": 2, "epochs": 2, "running_reward_scale": False}


def rollout():
    keys = jax.random.split(jax.random.key(0), 4)
    return Rollout(
        observations=jax.random.normal(keys[0], (8, 2, 3)),
        actions=jax.random.bernoulli(keys[1], shape=(8, 2)).astype(jnp.int32),
        log_probs=jnp.full((8, 2), -0.7),
        values=jax.random.normal(keys[2], (8, 2)),
        rewards=jax.random.normal(keys[3], (8, 2)),
        terminations=jnp.zeros((8, 2), bool).at[3].set(True),
        truncations=jnp.zeros((8, 2), bool).at[5, 0].set(True),
        next_values=jnp.full((8, 2), 0.5),
    )


def updated(method):
    learn = jax.jit(lambda key: method.update_from_rollout(method.init(key, SPEC), rollout(), key))
    return learn(jax.random.key(1))


def test_equal_decays_are_plain_ppo_bit_for_bit():
    plain, _ = updated(PPO(**FIELDS))
    ours, metrics = updated(PPOWithValueTargets(**FIELDS))
    jax.tree.map(np.testing.assert_array_equal, plain.nets, ours.nets)
    assert metrics["value/target_change"] == 0


def test_no_decay_is_one_step_and_full_decay_the_whole_episode():
    values = jnp.arange(9.0)[:, None] * jnp.ones((9, 2))
    one = rollout()._replace(values=values[:8], next_values=values[1:])  # values that agree with each other
    goes_on = 1.0 - one.terminations
    single = PPOWithValueTargets(**FIELDS, value_trace_decay=0.0)
    np.testing.assert_allclose(single.targets(one), one.rewards + 0.99 * goes_on * one.next_values, rtol=1e-5)
    whole = np.array(values)
    for step in range(7, -1, -1):
        later = np.where(one.truncations[step], one.next_values[step], whole[step + 1])
        whole[step] = one.rewards[step] + 0.99 * goes_on[step] * later
    full = PPOWithValueTargets(**FIELDS, value_trace_decay=1.0)
    np.testing.assert_allclose(full.targets(one), whole[:8], rtol=1e-5)


@pytest.mark.parametrize("fields", [{"running_reward_scale": True}, {"value_trace_decay": 1.5}])
def test_what_cannot_be(fields):
    with pytest.raises(UsageError):
        PPOWithValueTargets(**fields)
