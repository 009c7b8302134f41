from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.control.cal_ql import CalQL
from headstart.control.cql import CQL, WEIGHT
from headstart.control.handover import DETERMINISTIC_LOG_STD, hand_over
from headstart.control.iql import IQL
from headstart.control.method import Method, State
from headstart.control.sac import SAC
from headstart.control.td3_bc import TD3BC
from headstart.control.wsrl import WSRL
from headstart.core.errors import UsageError
from tests.control.tiny_problem import SPEC, assert_equal, initial

NETS = {"hidden": (8, 8), "critics": 3, "layer_norm": True, "actor_layer_norm": True}
TARGET = WSRL(hidden=(8, 8), critics=3, initial_temperature=0.3)
OBSERVATIONS = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)


def updated(method: Method) -> State:
    """A state as if after an update: optimisers and targets hold something of their own."""
    leaves, structure = jax.tree.flatten(initial(method))
    return jax.tree.unflatten(structure, [leaf + 1 + index % 3 for index, leaf in enumerate(leaves)])


def greedy(method: Method, state: State) -> jax.Array:
    return method.act(state, jnp.asarray(OBSERVATIONS), jax.random.key(0), explore=False)


def test_everything_goes_from_conservative_pretraining_to_wsrl_but_the_multiplier():
    source = CalQL(**NETS, critic_subset=2, action_samples=2, backup_actions=2, target_gap=1.0)
    state = updated(source)
    after, lines = hand_over(state, source, TARGET, SPEC, jax.random.key(5))
    for name in ("actor", "critic", "temperature"):
        assert_equal(after.nets[name], state.nets[name])
        assert_equal(after.optimizers[name], state.optimizers[name])
    assert_equal(after.targets, state.targets)
    assert int(after.updates) == int(state.updates) > 0
    assert WEIGHT not in after.nets
    assert f"{WEIGHT}: dropped, for wsrl has none" in lines
    assert "critic: carried over, with its optimiser state" in lines
    assert_equal(jax.tree.structure(after), jax.tree.structure(initial(TARGET)))


def test_a_gaussian_policy_keeps_its_greedy_actions_and_its_spread():
    source = IQL(**NETS)
    state = updated(source)
    state = state.replace(nets=state.nets | {"actor": _with_log_std(state.nets["actor"], [-1.0, -7.0])})
    after, lines = hand_over(state, source, TARGET, SPEC, jax.random.key(5))
    np.testing.assert_array_equal(greedy(TARGET, after), greedy(source, state))
    std = after.nets["actor"](jnp.asarray(OBSERVATIONS)).std
    np.testing.assert_allclose(std, np.broadcast_to(np.exp([-1.0, -5.0]), std.shape), rtol=1e-5)
    assert_equal(after.nets["critic"], state.nets["critic"])
    assert_equal(after.optimizers["actor"], initial(TARGET).optimizers["actor"])
    assert after.nets["temperature"]() == pytest.approx(0.3)
    assert "temperature: initialised, for iql has none" in lines
    assert "value: dropped, for wsrl has none" in lines
    assert any(line.startswith("actor: greedy actions carried over from GaussianActor") for line in lines)


@pytest.mark.parametrize("state_dependent_std", [True, False])
def test_a_deterministic_policy_keeps_its_actions_and_is_given_a_spread(state_dependent_std):
    source = TD3BC(**NETS)
    target = WSRL(hidden=(8, 8), critics=3, state_dependent_std=state_dependent_std)
    state = initial(source)
    after, _ = hand_over(state, source, target, SPEC, jax.random.key(5))
    np.testing.assert_array_equal(greedy(target, after), greedy(source, state))
    std = after.nets["actor"](jnp.asarray(OBSERVATIONS)).std
    np.testing.assert_allclose(std, np.exp(DETERMINISTIC_LOG_STD), rtol=1e-5)
    assert set(after.targets) == {"critic"}


def _with_log_std(actor, values):
    return jax.tree.unflatten(jax.tree.structure(actor), [*jax.tree.leaves(actor)[:-1], jnp.array(values)])


def test_a_network_without_a_target_gets_a_copy_of_its_own():
    source, target = SAC(hidden=(8,)), SAC(hidden=(8,))
    state = initial(source).replace(targets={})
    after, _ = hand_over(state, source, target, SPEC, jax.random.key(5))
    assert_equal(after.targets["critic"], after.nets["critic"])
    for a, b in zip(jax.tree.leaves(after.targets), jax.tree.leaves(after.nets["critic"]), strict=True):
        assert a is not b


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"critics": 2}, "the critic of cql does not fit wsrl: ensemble size is 2, not 3"),
        ({"layer_norm": False}, "the critic of cql does not fit wsrl: layer normalisation is False, not True"),
        ({"actor_layer_norm": False}, "the actor of cql does not fit wsrl: layer normalisation is False, not True"),
        ({"hidden": (8,)}, r"the actor of cql does not fit wsrl: hidden layers is \(8,\), not \(8, 8\)"),
        ({"state_dependent_std": False}, "outputs is 2, not 4; state-dependent spread is False, not True"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(fields, message):
    source = CQL(**(NETS | fields))
    with pytest.raises(UsageError, match=message):
        hand_over(initial(source), source, TARGET, SPEC, jax.random.key(5))


def test_a_policy_with_other_layers_is_refused_too():
    source = TD3BC(**(NETS | {"actor_layer_norm": False}))
    with pytest.raises(UsageError, match=r"the actor of td3-bc does not fit wsrl: .*layer normalisation is False, not"):
        hand_over(initial(source), source, TARGET, SPEC, jax.random.key(5))


def test_another_discount_is_said():
    source = SAC(hidden=(8,), discount=0.9)
    _, lines = hand_over(initial(source), source, SAC(hidden=(8,)), SPEC, jax.random.key(5))
    assert lines[-1] == "values were learned with discount 0.9 and go on with 0.99"
