"""SPR-UCB: projections by hand, the chain solved without the bonus, and what the bonus adds where little was seen."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.control.spr_ucb import SPRUCB, project
from headstart.core.errors import UsageError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.batch import Batch
from tests.control.tiny_problem import quick

SPEC = Spec(Box.uniform((3,), 0, 1), Discrete(2))
SMALL = SPRUCB(
    hidden=(32,), latent=16, atoms=11, lowest=0.0, highest=1.0, learning_rate=3e-3, target_period=5, discount=0.9
)


def corridor(rows: int, rightward: float = 0.5, seed: int = 0) -> Batch:
    """Transitions between three places; going right from the last pays 1 and ends."""
    random = np.random.default_rng(seed)
    place, action = random.integers(3, size=rows), (random.random(rows) < rightward).astype(np.int32)
    after, end = np.clip(place + 2 * action - 1, 0, 2), ((place == 2) & (action == 1)).astype(np.float32)
    eye = np.eye(3, dtype=np.float32)
    columns = (eye[place], action, end, eye[after], end, np.full(rows, 0.9, np.float32))
    return Batch(*map(jnp.asarray, columns))


def learn(method: SPRUCB, batch: Batch, updates: int):
    @quick
    def run(state, keys):
        return jax.lax.scan(lambda state, key: method.update(state, batch, key), state, keys)

    return run(
        quick(lambda key: method.init(key, SPEC))(jax.random.key(0)), jax.random.split(jax.random.key(1), updates)
    )


def test_projections_keep_means_and_masses():
    support = jnp.linspace(0.0, 1.0, 5)
    found = project(jnp.array([[0.5, 0.5, 0, 0, 0]]), jnp.array([[0.1, 0.5, 0, 0, 0]]), support)
    np.testing.assert_allclose(found, [[0.3, 0.2, 0.5, 0, 0]], atol=1e-6)
    beyond = project(jnp.array([[0, 0, 0, 0, 1.0]]), jnp.full((1, 5), 7.0), support)
    np.testing.assert_allclose(beyond, [[0, 0, 0, 0, 1]], atol=1e-6)


def test_without_the_bonus_it_is_a_categorical_dqn_that_foresees_its_latent():
    method = replace(SMALL, bonus_factor=0.0)
    state, metrics = learn(method, corridor(64), 400)
    values = method.preferences(state, jnp.eye(3))
    np.testing.assert_allclose(values[:, 1], [0.81, 0.9, 1.0], atol=0.06)
    assert np.array_equal(method.act(state, jnp.eye(3), jax.random.key(0), explore=False), [1, 1, 1])
    prediction = np.asarray(metrics["loss/prediction"])
    assert prediction[-1] < 0.1 < prediction[0]
    assert float(np.abs(metrics["bonus"]).max()) == 0


def test_the_bonus_fades_with_what_was_seen_and_is_part_of_values():
    method = replace(SMALL, bonus_ridge=1.0)
    state, metrics = learn(method, corridor(64), 150)
    bonus = np.asarray(metrics["bonus"])
    assert 0 < bonus[-1] < 0.5 * bonus[0]
    without, _ = learn(replace(method, bonus_factor=0.0), corridor(64), 150)
    probabilities = jnp.exp(state.nets["critic"](jnp.eye(3)))
    rule = method._rule()
    rare = rule.bonus(rule.add(rule.init(11), probabilities[0, 0]), probabilities[:1, 0])
    often = rule.bonus(state.nets["design"], probabilities[:1, 0])
    assert float(often[0]) < float(rare[0])
    assert float(method.preferences(state, jnp.eye(3)).mean()) > float(method.preferences(without, jnp.eye(3)).mean())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n_step": 3}, "needs 1"),
        ({"atoms": 1}, "at least 2 atoms"),
        ({"lowest": 2.0}, "lowest below highest"),
        ({"bonus_ridge": 0.0}, "ridge 0"),
        ({"bonus_factor": -1.0}, "factor is -1"),
    ],
)
def test_settings_that_cannot_be_are_refused(fields, words):
    with pytest.raises(UsageError, match=words):
        replace(SMALL, **fields).init(jax.random.key(0), SPEC)
