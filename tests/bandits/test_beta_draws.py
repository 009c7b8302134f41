"""Draws of Beta distributions follow them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from headstart.bandits.beta_draws import draw_beta


@pytest.mark.parametrize("parameters", [(1.0, 1.0), (0.2, 0.5), (3.5, 1.2), (400.0, 1600.0), (2.0, 1e5)])
def test_draws_have_the_distribution_they_should(parameters):
    first, second = parameters
    draws = draw_beta(jax.random.key(0), jnp.full(20_000, first), jnp.full(20_000, second))
    assert scipy.stats.kstest(np.asarray(draws, np.float64), scipy.stats.beta(first, second).cdf).pvalue > 1e-3


def test_arms_are_drawn_apart_and_the_same_key_draws_the_same():
    ones = jnp.ones(1000)
    draws = draw_beta(jax.random.key(1), ones, ones)
    assert len(np.unique(draws)) > 990
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.1
    np.testing.assert_array_equal(draws, jax.jit(draw_beta)(jax.random.key(1), ones, ones))


def test_parameters_near_zero_stay_within_bounds():
    draws = draw_beta(jax.random.key(0), jnp.full(1000, 1e-3), jnp.full(1000, 1e-3))
    assert np.isfinite(draws).all()
    assert 0.4 < float(jnp.mean(draws)) < 0.6
