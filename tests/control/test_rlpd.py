from __future__ import annotations

from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.control.cql import CQL
from headstart.control.networks import evaluate
from headstart.control.rlpd import RLPD
from headstart.control.sac import SAC
from headstart.control.wsrl import WSRL
from headstart.core.errors import UsageError
from tests.control.tiny_problem import SPEC, assert_equal, fresh, initial, quick, recorded, regret, reward

SMALL = RLPD(hidden=(8,), critics=3)


def test_one_update_a_step_and_no_resampling_is_sac_bit_for_bit():
    sac = SAC(hidden=(8,))
    rlpd = RLPD(hidden=(8,), critics=2, critic_subset=2, layer_norm=False, actor_reduction="min", target_entropy=-1.0)
    states = [initial(sac), initial(rlpd)]
    learns = [quick(sac.learn), quick(rlpd.learn)]
    for index in range(3):
        batches = recorded(index, 1, 16)
        states = [learn(state, batches, jax.random.key(index))[0] for learn, state in zip(learns, states, strict=True)]
    assert_equal(*states)


def test_wsrl_online_is_the_very_program_of_rlpd_with_its_fields():
    wsrl = WSRL(hidden=(8,), critics=3, actor_learning_rate=3e-4, temperature_learning_rate=3e-4)
    rlpd = RLPD(**{field.name: getattr(wsrl, field.name) for field in fields(RLPD)})
    programs = [
        str(jax.make_jaxpr(method.learn)(initial(rlpd), recorded(1, 2, 16), jax.random.key(2)))
        for method in (wsrl, rlpd)
    ]
    assert programs[0] == programs[1]
    assert_equal(initial(wsrl), initial(rlpd))


def test_a_round_moves_the_critics_once_a_batch_and_the_policy_once():
    after, metrics = quick(SMALL.learn)(initial(SMALL), recorded(1, 5, 16), jax.random.key(2))
    counts = {name: int(after.optimizers[name][0].count) for name in SMALL.order}
    assert counts == {"critic": 5, "actor": 1, "temperature": 1}
    assert int(after.updates) == 5
    assert all(jnp.isfinite(value) for value in metrics.values())


def test_the_policy_step_takes_the_last_batch_or_all_of_them():
    column = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(RLPD()._actor_rows(column), [8, 9, 10, 11])
    np.testing.assert_array_equal(WSRL()._actor_rows(column), np.arange(12))


def test_targets_take_the_least_of_the_drawn_critics_and_the_best_of_several_actions():
    method = SAC(hidden=(8,), critics=5, critic_subset=2, backup_actions=4, entropy_backup=False)
    batch = recorded(1, 16)

    @quick
    def both(state):
        nets, key = state.views(), jax.random.key(3)
        actions, _ = nets.actor(batch.next_observations).sample_and_log_prob(key, 4)
        return evaluate(nets.target_critic, batch.next_observations, actions), method.next_value(nets, batch, key)

    values, drawn = map(np.asarray, both(initial(method)))
    pairs = [np.minimum(values[i], values[j]).max(0) for i in range(5) for j in range(i)]
    assert any(np.allclose(drawn, pair, atol=1e-6) for pair in pairs)
    assert not np.allclose(drawn, values.min(0).max(0), atol=1e-6)


def test_the_entropy_is_measured_where_the_field_says():
    batch = recorded(1, 16)
    moved = batch._replace(observations=batch.observations + 1)
    state = initial(SMALL)
    for where, same in (("next", True), ("current", False)):
        method = replace(SMALL, temperature_observations=where)
        losses = [
            method.temperature_loss(state.nets["temperature"], state.views(), rows, jax.random.key(2))[0]
            for rows in (batch, moved)
        ]
        assert (losses[0] == losses[1]) == same


def test_pretraining_has_the_networks_of_what_follows():
    method = WSRL(hidden=(8, 8), critics=4, pretraining=CQL(discount=0.5, action_samples=3), discount=0.9)
    before = method.for_phase("offline")
    assert isinstance(before, CQL)
    assert before.action_samples == 3
    assert before.discount == 0.9
    states = [jax.eval_shape(lambda key, m=m: m.init(key, SPEC), jax.random.key(0)) for m in (before, method)]
    assert states[0] == states[1]
    assert method.for_phase("warmup") is method.for_phase("online") is method


def test_a_subset_larger_than_the_ensemble_is_refused():
    with pytest.raises(UsageError, match="critic_subset 5 is larger than the ensemble of critics, 4"):
        RLPD(critics=4, critic_subset=5).check(SPEC)


def test_learns_from_a_mixture_of_data_and_its_own_actions_for_several_seeds_at_once():
    method = RLPD(hidden=(32,), critics=3, learning_rate=3e-3, discount=0.9)

    def run(state, key):
        def step(state, key):
            data_key, act_key, learn_key = jax.random.split(key, 3)
            batches = fresh(data_key, 4, 32)
            own = method.act(state, batches.observations[:, 16:], act_key, explore=True)
            actions = jnp.concatenate([batches.actions[:, :16], own], 1)
            batches = batches._replace(actions=actions, rewards=reward(batches.observations, actions))
            return method.learn(state, batches, learn_key)[0], None

        return jax.lax.scan(step, state, jax.random.split(key, 250))[0]

    starts = [initial(method, seed) for seed in (0, 1)]
    states = quick(jax.vmap(run))(
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts), jax.random.split(jax.random.key(0))
    )
    for index, start in enumerate(starts):
        after = jax.tree.map(lambda leaf, index=index: leaf[index], states)
        assert regret(method, after) < 0.05 < regret(method, start)
