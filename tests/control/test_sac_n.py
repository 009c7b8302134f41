from __future__ import annotations

from dataclasses import fields

import jax
import jax.numpy as jnp
import numpy as np

from headstart.control.sac_n import EDAC, SACN
from tests.control.tiny_problem import assert_close, assert_equal, fresh, initial, quick, recorded, regret


def test_without_diversity_edac_is_sac_n():
    edac = EDAC(hidden=(8,), critics=3, diversity=0.0)
    sac_n = SACN(**{field.name: getattr(edac, field.name) for field in fields(SACN)})
    assert_equal(initial(edac), initial(sac_n))
    batch = recorded(1, 2, 16)
    states = [quick(method.learn)(initial(sac_n), batch, jax.random.key(3))[0] for method in (edac, sac_n)]
    assert_close(*states)


def test_similarity_is_the_mean_cosine_of_all_pairs():
    method = EDAC(hidden=(8,), critics=4)
    batch = recorded(1, 16)

    @quick
    def both(critics):
        def slopes(critic):
            return jax.vmap(jax.grad(critic, argnums=1))(batch.observations, batch.actions)

        return method.similarity(critics, batch), jax.vmap(slopes)(critics)

    similarity, slopes = both(initial(method).nets["critic"])
    directions = slopes / np.linalg.norm(slopes, axis=-1, keepdims=True)
    pairs = sum(np.sum(directions[i] * directions[j], -1) for i in range(4) for j in range(4) if i != j)
    np.testing.assert_allclose(similarity, pairs / 3, atol=1e-5)


def test_a_critic_that_ignores_actions_gives_no_infinite_gradient():
    method = EDAC(hidden=(8,), critics=2)
    flat = jax.tree.map(jnp.zeros_like, initial(method).nets["critic"])
    gradients = quick(jax.grad(lambda critics: jnp.mean(method.similarity(critics, recorded(1, 4)))))(flat)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradients))


def test_initial_layers_are_those_of_the_authors():
    layers = initial(SACN(hidden=(8, 8), critics=2)).nets["critic"].trunk.layers
    np.testing.assert_allclose(layers[0].bias, 0.1)
    np.testing.assert_allclose(layers[1].bias, 0.1)
    for leaf in jax.tree.leaves(layers[2]):
        assert float(jnp.max(jnp.abs(leaf))) <= 0.003 * (1 + 1e-6)


def test_learns_from_data_and_diversity_lowers_similarity():
    def learned(diversity):
        method = EDAC(hidden=(32,), critics=4, diversity=diversity, learning_rate=3e-3, initial_temperature=0.01)

        def step(state, key):
            batch_key, update_key = jax.random.split(key)
            return method.update(state, fresh(batch_key, 64), update_key)

        run = quick(lambda state: jax.lax.scan(step, state, jax.random.split(jax.random.key(1), 300)))
        state, metrics = run(initial(method))
        return regret(method, state), float(metrics["value/gradient_similarity"][-1])

    (regret_without, without), (regret_with, with_diversity) = learned(0.0), learned(1.0)
    assert regret_without < 0.1
    assert regret_with < 0.1
    assert with_diversity < without
