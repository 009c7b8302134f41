"""Draws of Beta distributions, all at once: ``jax.random.beta`` draws one after the other on a CPU."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray


def draw_beta(
    key: PRNGKeyArray, successes: Float[Array, "*shape"], failures: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """One draw of each Beta distribution, as the share of the first of two gamma draws; parameters above 0."""
    first, second = _log_gamma(key, jnp.stack([successes, failures]))
    return jax.nn.sigmoid(first - second)


def _log_gamma(key: PRNGKeyArray, shape: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Logarithms of gamma draws, by the rejection of Marsaglia and Tsang (2000).

    At least 95 % of proposals are accepted, so a few rounds of proposing to all that are left are enough. Below 1 the
    shape is raised by 1, which a power of a uniform draw undoes; in logarithms nothing is rounded to 0.
    """
    small = shape < 1
    center = jnp.where(small, shape + 1, shape) - 1 / 3
    spread = 1 / jnp.sqrt(9 * center)
    power, key = jax.random.split(key)

    def propose(carry: tuple[PRNGKeyArray, Array, Array]) -> tuple[PRNGKeyArray, Array, Array]:
        key, found, done = carry
        key, normal, uniform = jax.random.split(key, 3)
        relative = spread * jax.random.normal(normal, shape.shape)
        log = jnp.log1p(jnp.maximum(relative, jnp.finfo(shape.dtype).eps - 1))
        ratio = center * (3 * (log - relative) + 1.5 * relative**2 - relative**3)  # of densities, in logarithm
        level = jnp.log(jax.random.uniform(uniform, shape.shape))
        accepted: Bool[Array, "*shape"] = (relative > -1) & (level < ratio)
        return key, jnp.where(accepted & ~done, jnp.log(center) + 3 * log, found), done | accepted

    start = (key, jnp.zeros_like(shape), jnp.zeros(shape.shape, bool))
    found = jax.lax.while_loop(lambda carry: ~jnp.all(carry[2]), propose, start)[1]
    raised = jnp.log(jax.random.uniform(power, shape.shape, minval=jnp.finfo(shape.dtype).tiny)) / shape
    return jnp.where(small, found + raised, found)
