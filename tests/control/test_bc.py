"""Behavioural cloning, and the choice of the best episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.control.bc import BC, FilteredBC
from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.batch import Batch
from headstart.data.experience import Experience

CONTINUOUS = Spec(Box.uniform((2,), -1, 1), Box.uniform((1,), -1, 1))
DISCRETE = Spec(Box.uniform((2,), -1, 1), Discrete(3))


def recorded(spec, rows=256):
    """What a noisy behaviour did: around 0.6 times the first observation, or the choice that it points to."""
    rng = np.random.default_rng(0)
    observations = rng.uniform(-1, 1, (rows, 2))
    if spec.discrete:
        done = np.digitize(observations[:, 0], [-1 / 3, 1 / 3])
        actions = np.where(rng.uniform(size=rows) < 0.2, rng.integers(0, 3, rows), done)
    else:
        done = 0.6 * observations[:, :1]
        actions = done + 0.1 * rng.normal(size=(rows, 1))
    columns = (observations, actions, np.zeros(rows), observations, np.ones(rows), np.ones(rows))
    return Batch(*(jnp.asarray(c, jnp.int32 if c.dtype.kind == "i" else jnp.float32) for c in columns)), done


@pytest.mark.parametrize(
    ("method", "spec"),
    [(BC(), CONTINUOUS), (BC(likelihood=True), CONTINUOUS), (FilteredBC(), DISCRETE)],
    ids=["squared-error", "likelihood", "discrete"],
)
def test_cloning_finds_what_the_behaviour_does(method, spec):
    method = type(method)(likelihood=method.likelihood, hidden=(16,), learning_rate=0.01)
    data, done = recorded(spec)

    @jax.jit
    @jax.vmap
    def run(key):
        start, keys = method.init(key, spec), jax.random.split(key, 400)
        state, metrics = jax.lax.scan(lambda state, key: method.update(state, data, key), start, keys)
        return method.act(state, data.observations, key, explore=False), state, metrics["loss/actor"]

    found, state, losses = run(jax.random.split(jax.random.key(0), 2))
    assert np.all(losses[:, -1] < losses[:, 0])
    if spec.discrete:
        assert np.mean(found == done) > 0.9
    else:
        assert np.sqrt(np.mean(np.square(np.asarray(found) - done))) < 0.05
    if method.likelihood:
        np.testing.assert_allclose(np.exp(state.nets["actor"].log_std), 0.1, rtol=0.15)


def episodes(returns, ends=True):
    """Two-step episodes with these returns; their actions tell which is which."""
    rows = 2 * len(returns)
    last = np.arange(rows) % 2 == 1
    return Experience(
        CONTINUOUS,
        {
            "observations": np.zeros((rows, 2)),
            "actions": (np.arange(rows) // 2 / 100.0)[:, None],
            "rewards": np.repeat(returns, 2) / 2.0,
            "next_observations": np.zeros((rows, 2)),
            "terminations": last & ends,
            "truncations": np.zeros(rows, bool),
        },
    )


def test_filtered_cloning_keeps_the_best_tenth():
    returns = np.random.default_rng(0).permutation(20).astype(float)
    kept = FilteredBC(fraction=0.1).select(episodes(returns))
    assert kept.returns().tolist() == [19, 18]
    assert kept.actions[::2, 0].tolist() == pytest.approx((np.argsort(-returns)[:2] / 100.0).tolist())
    assert FilteredBC(fraction=0.1).select(episodes([1.0, 3.0, 2.0])).returns().tolist() == [3]
    assert BC().select(whole := episodes(returns)) is whole


def test_filtered_cloning_refuses_what_it_cannot_rank():
    with pytest.raises(DataError, match="complete"):
        FilteredBC().select(episodes([1.0, 2.0], ends=False))
    with pytest.raises(UsageError, match="fraction"):
        FilteredBC(fraction=0.0)
